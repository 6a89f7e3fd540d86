"""Masks, keypoints and oriented boxes of objects that were found in parts of a frame: mapped to the frame, cut at the
edge of the part and joined where parts continue each other. Objects that were not looked at keep the shape they had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightd.engines.geometry import area, intersection, iou
from sightd.plugins.api import BoolArray, Detections, FloatArray, IntArray, Keypoints, Masks, OrientedBoxes
from sightd.plugins.api.shapes import most_cells
from sightd.plugins.detector.shaped import Shaped, resampled

_INSIDE = 0.95
"""What lies in the box of a joined object to this share is part of it."""
_SAME = 0.5
"""Least IoU of a resting object's box with the one that it had on the last frame."""
_ROUNDING = 0.01
"""Tolerance in px by which a box is still the same."""


@dataclass(frozen=True, slots=True, eq=False)
class ShapeSource:
    """One found object: row `row` of `found`, whose coordinates times `scale` [2] plus `offset` [2] are those of the
    frame. `on_frame` is False if it lies between the parts, on no part of the frame."""

    found: Shaped
    row: int
    scale: NDArray[np.float64]
    offset: NDArray[np.float64]
    on_frame: bool

    @property
    def box(self) -> NDArray[np.float64]:
        """Its box xyxy in pixels of the frame, not cut at the edge of the part."""
        box: NDArray[np.float64] = self.found.detections.boxes[self.row] * np.tile(self.scale, 2)
        box += np.tile(self.offset, 2)
        return box

    @property
    def crop(self) -> BoolArray:
        assert self.found.masks is not None
        return self.found.masks.crops[self.row]


def with_shapes(
    shown: Detections, numbers: IntArray, sources: Sequence[ShapeSource], before: Shaped, size: tuple[int, int]
) -> Shaped:
    """Returns the objects shown on a frame of `size` (width, height), with their masks, keypoints and oriented boxes.

    `numbers` [n] is the source that each object's box came from, -1 if it was not looked at; `before` is what was shown
    on the camera's last frame.
    """
    kinds = [*(source.found for source in sources), before]
    keypoints = next((kind.keypoints for kind in kinds if kind.keypoints is not None), None)
    masks = any(kind.masks is not None for kind in kinds)
    oriented = any(kind.oriented is not None for kind in kinds)
    if keypoints is None and not masks and not oriented:
        return Shaped(shown)
    same = _same_as_before(shown, numbers, before)
    return Shaped(
        shown,
        _masks(shown, numbers, sources, before, same, size) if masks else None,
        None if keypoints is None else _keypoints(shown, numbers, sources, before, same, keypoints),
        _oriented(shown, numbers, sources, before, same) if oriented else None,
    )


def _same_as_before(shown: Detections, numbers: IntArray, before: Shaped) -> IntArray:
    """Returns for each object that was not looked at its row in `before`, or -1."""
    rows = np.full(len(shown), -1, np.int64)
    known = before.detections
    if len(shown) and len(known):
        overlap = iou(shown.boxes, known.boxes)
        overlap[shown.class_ids[:, None] != known.class_ids] = 0
        best = overlap.argmax(axis=1)
        found = (numbers < 0) & (overlap.max(axis=1) >= _SAME)
        rows[found] = best[found]
    return rows


def _masks(
    shown: Detections,
    numbers: IntArray,
    sources: Sequence[ShapeSource],
    before: Shaped,
    same: IntArray,
    size: tuple[int, int],
) -> Masks:
    most, crops = most_cells(len(shown)), []
    for row, (box, number) in enumerate(zip(shown.boxes, numbers.tolist(), strict=True)):
        if number >= 0:
            crops.append(_joined(box, _members(box, number, sources), most))
        elif same[row] >= 0 and before.masks is not None:
            crops.append(before.masks.crops[same[row]])
        else:
            crops.append(np.zeros((0, 0), np.bool_))
    return Masks(shown.boxes, tuple(crops), size)


def _members(box: FloatArray, number: int, sources: Sequence[ShapeSource]) -> list[ShapeSource]:
    """Returns what an object was joined from: its source, and all of its class in its box if that is larger."""
    own = sources[number]
    if _is_whole(own, box):
        return [own]
    class_id = own.found.detections.class_ids[own.row]
    return [
        source
        for source in sources
        if source.on_frame and source.found.detections.class_ids[source.row] == class_id and _is_inside(source.box, box)
    ]


def _is_whole(own: ShapeSource, box: FloatArray) -> bool:
    """Whether an object is no larger than its source, and so was not joined from several."""
    return bool((box[:2] >= own.box[:2] - _ROUNDING).all() and (box[2:] <= own.box[2:] + _ROUNDING).all())


def _is_inside(box: NDArray[np.float64], other: FloatArray) -> bool:
    both = intersection(box[None], other[None].astype(np.float64))[0, 0]
    return bool(both >= _INSIDE * area(box[None])[0])


def _joined(box: FloatArray, members: Sequence[ShapeSource], most: int) -> BoolArray:
    """Returns what any of the masks covers of the box; nothing if one of them is missing."""
    parts = [resampled(member.crop, member.box, box, most) for member in members if member.found.masks is not None]
    if not parts or any(not part.size for part in parts):
        return np.zeros((0, 0), np.bool_)
    shape = tuple(np.max([part.shape for part in parts], axis=0))
    alike = [part if part.shape == shape else _resized(part, shape) for part in parts]
    joined: BoolArray = np.logical_or.reduce(alike)
    return joined


def _resized(part: BoolArray, shape: tuple[int, int]) -> BoolArray:
    rows = (np.arange(shape[0]) * part.shape[0]) // shape[0]
    columns = (np.arange(shape[1]) * part.shape[1]) // shape[1]
    return np.asarray(part[np.ix_(rows, columns)], np.bool_)


def _keypoints(
    shown: Detections,
    numbers: IntArray,
    sources: Sequence[ShapeSource],
    before: Shaped,
    same: IntArray,
    kind: Keypoints,
) -> Keypoints:
    points = np.zeros((len(shown), len(kind.names), 2), np.float32)
    scores = np.zeros(points.shape[:2], np.float32)
    for row, number in enumerate(numbers.tolist()):
        given = before.keypoints if number < 0 else sources[number].found.keypoints
        if number >= 0 and given is not None:
            source = sources[number]
            points[row] = given.points[source.row] * source.scale + source.offset
            scores[row] = given.scores[source.row]
        elif same[row] >= 0 and given is not None:
            one = slice(same[row], same[row] + 1)
            moved = given.select(np.array([same[row]])).moved(before.detections.boxes[one], shown.boxes[row : row + 1])
            points[row], scores[row] = moved.points[0], moved.scores[0]
    return Keypoints(points, scores, kind.names, kind.skeleton)


def _oriented(
    shown: Detections, numbers: IntArray, sources: Sequence[ShapeSource], before: Shaped, same: IntArray
) -> OrientedBoxes:
    """An object that was joined from parts is upright: the parts do not show how it lies."""
    corners = OrientedBoxes.upright(shown.boxes).corners
    for row, number in enumerate(numbers.tolist()):
        given = before.oriented if number < 0 else sources[number].found.oriented
        if number >= 0 and given is not None and _is_whole(sources[number], shown.boxes[row]):
            source = sources[number]
            corners[row] = given.corners[source.row] * source.scale + source.offset
        elif number < 0 and same[row] >= 0 and given is not None:
            one = slice(same[row], same[row] + 1)
            moved = given.select(np.array([same[row]])).moved(before.detections.boxes[one], shown.boxes[row : row + 1])
            corners[row] = moved.corners[0]
    return OrientedBoxes(corners)
