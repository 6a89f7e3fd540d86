"""Shapes of detected objects, one row per row of `Detections`: masks, keypoints and oriented boxes, in pixels of the
source frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.plugins.api.frame import BoolArray, FloatArray

MOST_CELLS = 160
"""Cells of a mask along each side, at most; a frame with more than `_FULL` objects gets fewer, so that all masks of a
frame take 2.6 MB at most."""
_FULL = 100
_EMPTY: BoolArray = np.zeros((0, 0), np.bool_)
_EMPTY.flags.writeable = False


def most_cells(objects: int) -> int:
    """Returns how many cells along each side the masks of so many objects of one frame may have."""
    return max(int(MOST_CELLS * min(1.0, (_FULL / max(objects, 1)) ** 0.5)), 1)


@dataclass(frozen=True, slots=True)
class DrawnMask:
    """A mask in pixels: `inside` bool [height, width], with its top left corner at `left`, `top`."""

    left: int
    top: int
    inside: BoolArray


@dataclass(frozen=True, slots=True, eq=False)
class Masks:
    """Which part of its box each object covers.

    boxes xyxy float32 [n, 4] px: what the mask covers, the object's box · crops: bool [h, w] each, read-only, stretched
    over its box, at most `MOST_CELLS` cells each way; [0, 0] if the object has no mask · size: (width, height) of the
    frame. Immutable: crops are set read-only, so one that others write to must be copied before.
    """

    boxes: FloatArray
    crops: tuple[BoolArray, ...]
    size: tuple[int, int]

    def __post_init__(self) -> None:
        if self.boxes.ndim != 2 or self.boxes.shape != (len(self.crops), 4):
            raise ValueError(f"Masks.boxes has the shape {list(self.boxes.shape)}, expected [{len(self.crops)}, 4]")
        for crop in self.crops:
            if crop.dtype != np.bool_ or crop.ndim != 2 or max(crop.shape) > MOST_CELLS:
                raise ValueError(
                    f"Masks.crops has {crop.dtype} {list(crop.shape)}, expected bool [h, w] of at most {MOST_CELLS}"
                )
            crop.flags.writeable = False

    def __len__(self) -> int:
        return len(self.crops)

    @classmethod
    def none(cls, boxes: FloatArray, size: tuple[int, int]) -> Masks:
        """Returns rows without a mask for objects with these boxes [n, 4]."""
        return cls(boxes, (_EMPTY,) * len(boxes), size)

    def select(self, keep: NDArray[np.int64] | BoolArray) -> Masks:
        """Returns the masks selected by `keep`: a boolean mask [n] or indices."""
        rows = np.arange(len(self))[keep].tolist()
        return Masks(self.boxes[keep], tuple(self.crops[row] for row in rows), self.size)

    def moved(self, boxes: FloatArray) -> Masks:
        """Returns the masks stretched over other boxes [n, 4], those where the objects are now."""
        return Masks(boxes, self.crops, self.size)

    def has(self, row: int) -> bool:
        return self.crops[row].size > 0

    def drawn(self, row: int, scale: float = 1.0) -> DrawnMask | None:
        """Returns a mask in pixels of the frame, or of the frame scaled by `scale`; a pixel is inside if its centre is.
        None if the object has no mask or is outside the frame."""
        return drawn_crop(
            self.crops[row], self.boxes[row] * np.float32(scale), (self.size[0] * scale, self.size[1] * scale)
        )

    def rle(self, row: int) -> str:
        """Returns a mask of the frame's size as COCO's compressed run lengths, as `pycocotools.mask` encodes them: runs
        in column order, the first outside."""
        return _compressed(self._runs(row))

    def _runs(self, row: int) -> list[int]:
        (width, height), drawn = self.size, self.drawn(row)
        if drawn is None or not drawn.inside.any():
            return [width * height]
        columns, rows = np.nonzero(drawn.inside.T)
        inside = (columns + drawn.left) * height + rows + drawn.top
        breaks = np.flatnonzero(np.diff(inside) != 1)
        starts = inside[np.concatenate(([0], breaks + 1))]
        ends = inside[np.concatenate((breaks, [len(inside) - 1]))] + 1
        edges = np.stack((starts, ends), axis=1).ravel()
        runs: list[int] = np.diff(np.concatenate(([0], edges, [width * height]))).tolist()
        return runs if runs[-1] else runs[:-1]


def drawn_crop(crop: BoolArray, box: FloatArray, size: tuple[float, float]) -> DrawnMask | None:
    """Returns a crop, stretched over a box xyxy in pixels, as pixels of an image of `size` (width, height)."""
    if not crop.size or not np.isfinite(box).all():
        return None
    limit = np.floor(np.array(size)).astype(int)
    low = np.clip(np.ceil(box[:2] - 0.5).astype(int), 0, limit)
    high = np.clip(np.ceil(box[2:] - 0.5).astype(int), 0, limit)
    wide, high_by = (high - low).tolist()
    if wide <= 0 or high_by <= 0:
        return None
    cells = np.array(crop.shape[::-1], np.float64) / (box[2:] - box[:2]).astype(np.float64)
    offset = (low + 0.5 - box[:2]) * cells - 0.5
    soft = cv2.warpAffine(
        crop.astype(np.uint8) * np.uint8(255),
        np.array([[cells[0], 0, offset[0]], [0, cells[1], offset[1]]], np.float64),
        (wide, high_by),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    left, top = low.tolist()
    return DrawnMask(left, top, np.asarray(soft > 127, np.bool_))


def _compressed(runs: Sequence[int]) -> str:
    """Five bits per character, least first, from "0" on; the sixth bit says that more follow. From the fourth run on,
    the difference to the run before the last is written (cocodataset/cocoapi, common/maskApi.c)."""
    steps = [run - (runs[index - 2] if index > 2 else 0) for index, run in enumerate(runs)]
    return "".join(char for step in steps for char in _chars(step))


def _chars(number: int) -> Iterator[str]:
    more = True
    while more:
        bits = number & 0x1F
        number >>= 5
        more = number != (-1 if bits & 0x10 else 0)
        yield chr(48 + (bits | 0x20 if more else bits))


@dataclass(frozen=True, slots=True, eq=False)
class Keypoints:
    """Points of each object that the model knows, such as the joints of a person.

    points float32 [n, k, 2] px, x and y; a point may be outside the frame · scores float32 [n, k] 0-1: how sure it is
    that the point is visible; 0 if the object has no such point · names [k] · skeleton: pairs of points that are joined
    by a line.
    """

    points: FloatArray
    scores: FloatArray
    names: tuple[str, ...]
    skeleton: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        count = len(self.names)
        if self.scores.ndim != 2 or self.scores.shape[1] != count or self.points.shape != (*self.scores.shape, 2):
            raise ValueError(
                f"Keypoints.points has the shape {list(self.points.shape)} and scores {list(self.scores.shape)}, "
                f"expected [n, {count}, 2] and [n, {count}]"
            )
        if any(not 0 <= end < count for pair in self.skeleton for end in pair):
            raise ValueError(f"Keypoints.skeleton names a point that is none of the {count}")

    def __len__(self) -> int:
        return len(self.scores)

    def select(self, keep: NDArray[np.int64] | BoolArray) -> Keypoints:
        """Returns the rows selected by `keep`: a boolean mask [n] or indices."""
        return Keypoints(self.points[keep], self.scores[keep], self.names, self.skeleton)

    def moved(self, before: FloatArray, after: FloatArray) -> Keypoints:
        """Returns the points moved and stretched as the objects' boxes [n, 4] changed."""
        return Keypoints(_moved(self.points, before, after), self.scores, self.names, self.skeleton)


@dataclass(frozen=True, slots=True, eq=False)
class OrientedBoxes:
    """The boxes of objects seen from above, or otherwise turned: rectangles of any angle; `Detections` has the upright
    boxes around them.

    corners float32 [n, 4, 2] px, x and y, along the outline, clockwise on the screen; those of an object that was found
    upright begin at the top left. A corner may be outside the frame.
    """

    corners: FloatArray

    def __post_init__(self) -> None:
        if self.corners.ndim != 3 or self.corners.shape[1:] != (4, 2):
            raise ValueError(f"OrientedBoxes.corners has the shape {list(self.corners.shape)}, expected [n, 4, 2]")

    def __len__(self) -> int:
        return len(self.corners)

    @classmethod
    def upright(cls, boxes: FloatArray) -> OrientedBoxes:
        """Returns the corners of boxes xyxy [n, 4]."""
        return cls(boxes[:, [[0, 1], [2, 1], [2, 3], [0, 3]]])

    def select(self, keep: NDArray[np.int64] | BoolArray) -> OrientedBoxes:
        """Returns the rows selected by `keep`: a boolean mask [n] or indices."""
        return OrientedBoxes(self.corners[keep])

    def moved(self, before: FloatArray, after: FloatArray) -> OrientedBoxes:
        """Returns the corners moved and stretched as the boxes around them [n, 4] changed."""
        return OrientedBoxes(_moved(self.corners, before, after))


def _moved(points: FloatArray, before: FloatArray, after: FloatArray) -> FloatArray:
    """Returns points [n, k, 2] moved and stretched as the boxes [n, 4] changed."""
    size = np.maximum(before[:, 2:] - before[:, :2], np.float32(1e-6))
    factor = (after[:, 2:] - after[:, :2]) / size
    moved: FloatArray = (points - before[:, None, :2]) * factor[:, None] + after[:, None, :2]
    return moved.astype(np.float32, copy=False)
