"""The objects of one camera that were found, and what becomes of them when their place is, or is not, looked at.

A model that looks at parts of the frame says nothing about the rest. So an object is kept, at its predicted position,
until its place was looked at and it was not there. States are immutable; all functions are pure, with time passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightd.engines.geometry import clip, iou
from sightd.plugins.api import FloatArray, IntArray
from sightd.plugins.look.merging import ViewDetections, covered
from sightd.plugins.look.views import Mask, ScaledView, contains, cut_off

Times = NDArray[np.float64]

_SAME = 0.3
"""Least IoU of an object's predicted box and a found one of its class, both widened."""
_WIDENED, _WIDENING, _WIDEST = 0.25, 1.0, 1.25
"""Boxes move out by these shares of their width and height on each side before they are matched: at first, more per
second since the object was seen, and at most. A small object soon moves by its own width."""
_REACH = 1.0
"""Longest time, in s, over which an object's movement is predicted; then it is expected to stay there."""
_MOVING = 0.25
"""An object moves if it covers more than this share of its height in a second; less is noise of the boxes."""
_NEW_VELOCITY = 0.5
"""Weight of the newest displacement in the velocity."""
_SURE = 0.5
"""An object seen only once is carried from this score on; below, it must be found a second time first."""
_ABSENT = 3
"""After so many looks in a row that did not find it, an object is no longer reported although nothing has changed at
its place; if something has, after one. One more look, and it is forgotten."""
_RESOLVED = 20.0
"""A look counts if the object's longer side has so many pixels in the model's input, or `_AS_BEFORE` of those with
which it was found last."""
_AS_BEFORE = 0.75
_MOST = 500
"""Most objects kept per camera; those seen longest ago are dropped."""


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """The known objects, one row each.

    boxes xyxy float32 [n, 4] px, scores float32 [n], class_ids int64 [n], as last found · velocities float32 [n, 2]
    px/s of the centre · seen_at float64 [n] s · looked_at float64 [n] s: last time a look could have found it · hits,
    misses int64 [n]: how often it was found, and how many looks since then did not find it · sides float32 [n]: its
    longer side in pixels of the model's input when last found.
    """

    boxes: FloatArray
    scores: FloatArray
    class_ids: IntArray
    velocities: FloatArray
    seen_at: Times
    looked_at: Times
    hits: IntArray
    misses: IntArray
    sides: FloatArray

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def nothing(cls) -> Known:
        return _begun(ViewDetections.none(), np.zeros(0, np.float32), 0.0)

    def select(self, keep: Mask | IntArray) -> Known:
        return Known(*(getattr(self, name)[keep] for name in self.__slots__))

    def predicted(self, at: float) -> FloatArray:
        """Returns the boxes where the objects are expected at `at` (s); those that rest, at their last position."""
        elapsed = np.clip(at - self.seen_at, 0, _REACH).astype(np.float32)[:, None]
        moved = np.where(self.moving[:, None], self.velocities * elapsed, 0)
        boxes: FloatArray = self.boxes + np.tile(moved, 2)
        return boxes

    @property
    def moving(self) -> Mask:
        heights = np.maximum(self.boxes[:, 3] - self.boxes[:, 1], 1)
        found: Mask = np.hypot(self.velocities[:, 0], self.velocities[:, 1]) > _MOVING * heights
        return found

    @property
    def doubtful(self) -> Mask:
        """Returns which objects are to be looked at again at once: seen only once, or not found by the last look."""
        return (self.hits < 2) | (self.misses > 0)


def after_look(
    before: Known,
    found: ViewDetections,
    views: Sequence[ScaledView],
    at: float,
    size: tuple[int, int],
    changed: Callable[[FloatArray], Mask],
) -> tuple[Known, ViewDetections]:
    """Returns the objects known after a frame, and all that are on it: what was `found`, and what is carried.

    `found` (merged; its `views` index `views`) is what the views showed at `at` on a frame of `size` (width,
    height). `changed(boxes)` returns for boxes xyxy [n, 4] whether something has changed there.

    An object that no look could have shown is carried. One that a look should have shown is gone from this frame if its
    place has changed; if nothing has changed there, the model has missed it, and only `_ABSENT` looks in a row
    remove it. Carried objects have the view -1.
    """
    predicted = before.predicted(at)
    if not views:
        return _missed(before, predicted, views, at, size, changed)
    found = found.select(~_parts(found, views, size, before.class_ids, predicted))
    rows, columns = _pairs(before, predicted, found, at)
    sides = _sides(found, views)
    missed = np.ones(len(before), np.bool_)
    missed[rows] = False
    new = np.ones(len(found), np.bool_)
    new[columns] = False
    kept, carried = _missed(before.select(missed), predicted[missed], views, at, size, changed)
    known = _concatenated(
        _seen_again(before.select(rows), found.select(columns), sides[columns], at),
        kept,
        _begun(found.select(new), sides[new], at),
    )
    return known, ViewDetections.concatenated([found, carried])


def _parts(
    found: ViewDetections,
    views: Sequence[ScaledView],
    size: tuple[int, int],
    class_ids: IntArray,
    predicted: FloatArray,
) -> Mask:
    """Returns which of the found boxes are cut off by their view and part of an object that is known."""
    is_cut = np.zeros(len(found), np.bool_)
    for index in np.unique(found.views).tolist():
        rows = found.views == index
        is_cut[rows] = cut_off(found.boxes[rows], views[index].view, *size)
    if is_cut.any():
        rows = np.flatnonzero(is_cut)
        is_cut[rows] = covered(found.boxes[rows], found.class_ids[rows], predicted, class_ids)
    return is_cut


def _pairs(before: Known, predicted: FloatArray, found: ViewDetections, at: float) -> tuple[IntArray, IntArray]:
    """Returns the rows of known objects and of found boxes that are the same, best overlap first (greedy)."""
    shares = np.minimum(_WIDENED + _WIDENING * np.maximum(at - before.seen_at, 0), _WIDEST).astype(np.float32)
    overlap = np.zeros((len(before), len(found)), np.float32)
    for share in np.unique(shares):  # few: most objects were seen on the same frames
        rows = shares == share
        overlap[rows] = iou(_widened(predicted[rows], share), _widened(found.boxes, share))
    overlap[before.class_ids[:, None] != found.class_ids] = 0
    rows, columns = np.nonzero(overlap >= _SAME)
    order = np.argsort(-overlap[rows, columns], kind="stable")
    taken_rows: dict[int, int] = {}
    taken: set[int] = set()
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if row not in taken_rows and column not in taken:
            taken_rows[row] = column
            taken.add(column)
    return np.array(list(taken_rows), np.int64), np.array(list(taken_rows.values()), np.int64)


def _widened(boxes: FloatArray, share: float) -> FloatArray:
    margin = share * (boxes[:, 2:] - boxes[:, :2])
    return np.concatenate((boxes[:, :2] - margin, boxes[:, 2:] + margin), axis=1)


def _sides(found: ViewDetections, views: Sequence[ScaledView]) -> FloatArray:
    scales = np.array([view.scale for view in views], np.float32)
    of = scales[found.views] if len(views) else np.ones(len(found), np.float32)
    sides: FloatArray = _longer(found.boxes) * of
    return sides


def _longer(boxes: FloatArray) -> FloatArray:
    longer: FloatArray = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0)
    return longer


def _missed(
    known: Known,
    predicted: FloatArray,
    views: Sequence[ScaledView],
    at: float,
    size: tuple[int, int],
    changed: Callable[[FloatArray], Mask],
) -> tuple[Known, ViewDetections]:
    """Returns those of the objects that were not found but are kept, and those that are carried to this frame."""
    visible = clip(predicted, *size)
    inside = ((visible[:, 2:] - visible[:, :2]) > 0.3 * (predicted[:, 2:] - predicted[:, :2])).all(axis=1)
    should = _shown(visible, known.sides, views)
    gone = should & (changed(visible) | known.moving)
    misses = np.where(gone, np.maximum(known.misses + 1, _ABSENT), known.misses + should)
    is_sure = (known.hits > 1) | ((known.scores >= _SURE) & ~should)
    carried = inside & is_sure & (misses < _ABSENT)
    kept = inside & (misses <= _ABSENT) & ((known.hits > 1) | ~should)
    after = Known(
        known.boxes,
        known.scores,
        known.class_ids,
        known.velocities,
        known.seen_at,
        np.where(should, at, known.looked_at),
        known.hits,
        misses,
        known.sides,
    )
    none = np.full(len(known), -1, np.int64)  # view, and source
    return after.select(kept), ViewDetections(visible, known.scores, known.class_ids, none, none).select(carried)


def _shown(boxes: FloatArray, sides: FloatArray, views: Sequence[ScaledView]) -> Mask:
    """Returns which boxes some look shows whole and large enough to be found."""
    shown = np.zeros(len(boxes), np.bool_)
    enough = np.minimum(np.float32(_RESOLVED), _AS_BEFORE * sides)
    for view in views:
        shown |= contains(view.view, boxes) & (_longer(boxes) * view.scale >= enough)
    return shown


def _seen_again(known: Known, found: ViewDetections, sides: FloatArray, at: float) -> Known:
    elapsed = np.maximum(at - known.seen_at, 1e-3)[:, None]
    displaced = (found.boxes[:, :2] + found.boxes[:, 2:] - known.boxes[:, :2] - known.boxes[:, 2:]) / 2
    newest = (displaced / elapsed).astype(np.float32)
    weight = np.where(known.hits > 1, np.float32(_NEW_VELOCITY), np.float32(1))[:, None]
    return Known(
        found.boxes,
        found.scores,
        found.class_ids,
        known.velocities + weight * (newest - known.velocities),
        np.full(len(known), at),
        np.full(len(known), at),
        known.hits + 1,
        np.zeros(len(known), np.int64),
        sides,
    )


def _begun(found: ViewDetections, sides: FloatArray, at: float) -> Known:
    count = len(found)
    return Known(
        found.boxes,
        found.scores,
        found.class_ids,
        np.zeros((count, 2), np.float32),
        np.full(count, at),
        np.full(count, at),
        np.ones(count, np.int64),
        np.zeros(count, np.int64),
        sides,
    )


def _concatenated(*parts: Known) -> Known:
    all_rows = Known(*(np.concatenate([getattr(part, name) for part in parts]) for name in Known.__slots__))
    if len(all_rows) <= _MOST:
        return all_rows
    return all_rows.select(np.argsort(-all_rows.seen_at, kind="stable")[:_MOST])
