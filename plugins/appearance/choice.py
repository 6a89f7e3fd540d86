"""Which objects of a frame are embedded: within a budget, those whose look is unknown or in doubt first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightd.engines.geometry import area, intersection, iou
from sightd.plugins.api import BoolArray, Detections, FloatArray, IntArray

Times = NDArray[np.float64]

_SAME = 0.3
"""Least IoU of an object's boxes on two successive analysed frames."""
_AMBIGUOUS = 0.6
"""A detection can be either of two objects if the IoU with the second is at least this share of that with the first."""
_COVERED = 0.35
"""An object is covered if another one in front of it hides this share of its box: its look would be that of the
other."""
_FORGOTTEN_AFTER = 1.0
"""An object that was not detected for this long (s) counts as new when it is."""


@dataclass(frozen=True, slots=True, eq=False)
class LookedAt:
    """The objects that were detected lately, one row each: boxes xyxy float32 [n, 4] px, class_ids int64 [n],
    looked_at float64 [n], the time of their last look in s, -inf if there is none, seen_at float64 [n] s, and met bool
    [n]: whether one of them covered another when it was last detected. Immutable."""

    boxes: FloatArray
    class_ids: IntArray
    looked_at: Times
    seen_at: Times
    met: BoolArray

    @classmethod
    def nothing(cls) -> LookedAt:
        none = np.zeros(0)
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), none, none, np.zeros(0, np.bool_))


def covers(boxes: FloatArray) -> BoolArray:
    """Returns [n, n] which box (column) covers which (row) of `boxes` [n, 4]: it hides a large part, and its lower edge
    is further down, so it is in front."""
    shared = intersection(boxes, boxes)
    in_front = boxes[:, 3] > boxes[:, 3, None]
    found: BoolArray = in_front & (shared > _COVERED * np.maximum(area(boxes), 1e-6)[:, None])
    return found


def last_looks(before: LookedAt, found: Detections, met: BoolArray) -> Times:
    """Returns when each detection was last embedded (s): that of the object which it overlaps. -inf if it is new, or in
    doubt: it overlaps several, or one that met another and has left it. `met` [n] says which cover or are covered."""
    last = np.full(len(found), -np.inf)
    if not len(found) or not len(before.boxes):
        return last
    overlap = iou(found.boxes.astype(np.float64), before.boxes.astype(np.float64))
    overlap[found.class_ids[:, None] != before.class_ids] = 0
    which = overlap.argmax(axis=1)
    best = overlap[np.arange(len(found)), which]
    overlap[np.arange(len(found)), which] = 0
    certain = (best >= _SAME) & (overlap.max(axis=1) < _AMBIGUOUS * best) & (met | ~before.met[which])
    last[certain] = before.looked_at[which[certain]]
    return last


def chosen(last: Times, wanted: BoolArray, now: float, refresh: float, budget: int) -> IntArray:
    """Returns the rows to embed at `now`, at most `budget`: of the `wanted` ones, first those without a look, then
    those whose look is oldest, if it is older than `refresh` (s)."""
    due = np.flatnonzero(wanted & (now - last >= refresh))
    order = np.argsort(last[due], kind="stable")
    return np.sort(due[order][:budget])


def after(before: LookedAt, found: Detections, last: Times, met: BoolArray, now: float) -> LookedAt:
    """Returns the objects known after a frame with detections, of which `last` says when they were embedded last."""
    kept = now - before.seen_at <= _FORGOTTEN_AFTER
    if len(found) and len(before.boxes):
        overlap = iou(before.boxes.astype(np.float64), found.boxes.astype(np.float64))
        kept &= overlap.max(axis=1) < _SAME
    return LookedAt(
        np.concatenate((found.boxes, before.boxes[kept])),
        np.concatenate((found.class_ids, before.class_ids[kept])),
        np.concatenate((last, before.looked_at[kept])),
        np.concatenate((np.full(len(found), now), before.seen_at[kept])),
        np.concatenate((met, before.met[kept])),
    )
