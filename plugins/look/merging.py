"""Combines what was found in overlapping views of a frame, so that no object appears twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sightd.engines.geometry import area, intersection, iou
from sightd.plugins.api import FloatArray, IntArray
from sightd.plugins.geometry.nms import nms
from sightd.plugins.look.views import Mask, View, cut_off

_PART = 0.6
"""A box cut off by the edge of a view is part of a whole box of its class that covers at least this share of it."""
_SAME_PART = 0.5
"""Two cut boxes of one class show the same object if they agree by this IoU where both views see it."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What was found in views: boxes xyxy float32 [n, 4] in pixels of the frame, scores float32 [n], class_ids int64
    [n], and views int64 [n]: the index of the view each was found in."""

    boxes: FloatArray
    scores: FloatArray
    class_ids: IntArray
    views: IntArray

    def __len__(self) -> int:
        return len(self.scores)

    def select(self, keep: IntArray | Mask) -> Found:
        return Found(self.boxes[keep], self.scores[keep], self.class_ids[keep], self.views[keep])

    @classmethod
    def none(cls) -> Found:
        rows, whole = np.zeros(0, np.float32), np.zeros(0, np.int64)
        return cls(np.zeros((0, 4), np.float32), rows, whole, whole)

    @classmethod
    def joined(cls, parts: Sequence[Found]) -> Found:
        if not parts:
            return cls.none()
        return cls(
            np.concatenate([part.boxes for part in parts]),
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.class_ids for part in parts]),
            np.concatenate([part.views for part in parts]),
        )


def merged(found: Found, views: Sequence[View], size: tuple[int, int], max_iou: float, *, agnostic: bool) -> Found:
    """Returns one box per object, best score first.

    `views` are those that `Found.views` refers to, `size` is the frame's (width, height). Boxes that are whole compete
    by score (NMS with `max_iou`; with `agnostic` also across classes). A box that its view cuts off loses to a whole
    box that covers it, whatever its score. Cut boxes that show parts of one object, and of which no view shows the
    whole, are united.
    """
    is_cut = np.zeros(len(found), np.bool_)
    for index, view in enumerate(views):
        rows = np.flatnonzero(found.views == index)
        is_cut[rows] = cut_off(found.boxes[rows], view, *size)
    whole = _suppressed(found.select(~is_cut), max_iou, agnostic=agnostic)
    cut = found.select(is_cut)
    if not len(cut):
        return whole
    cut = _united(cut.select(~_covered(cut, whole, agnostic=agnostic)), views)
    cut = cut.select(~_covered(cut, whole, agnostic=agnostic))
    return _suppressed(Found.joined([whole, cut]), max_iou, agnostic=agnostic)


def _suppressed(found: Found, max_iou: float, *, agnostic: bool) -> Found:
    return found.select(nms(found.boxes, found.scores, None if agnostic else found.class_ids, max_iou))


def _covered(cut: Found, whole: Found, *, agnostic: bool) -> Mask:
    return covered(cut.boxes, None if agnostic else cut.class_ids, whole.boxes, whole.class_ids)


def covered(cut: FloatArray, cut_classes: IntArray | None, whole: FloatArray, whole_classes: IntArray) -> Mask:
    """Returns which boxes xyxy of `cut` [n, 4] are parts of a box of `whole` [m, 4], of the same class unless
    `cut_classes` is None."""
    share = intersection(cut, whole) / np.maximum(area(cut), 1)[:, None]
    if cut_classes is not None:
        share[cut_classes[:, None] != whole_classes] = 0
    found: Mask = share.max(axis=1, initial=0) >= _PART
    return found


def _united(cut: Found, views: Sequence[View]) -> Found:
    """Replaces cut boxes that continue each other across views by the box around them, with the best of their scores.

    Best score first: each box takes in all that agree with it where its view and theirs overlap, as often as that adds
    one, so an object across three tiles becomes one box.
    """
    order = np.argsort(-cut.scores, kind="stable")
    left = list(order.tolist())
    boxes, rows = [], []
    while left:
        row = left.pop(0)
        members = [row]
        for member in members:
            joining = [other for other in left if _continues(cut, member, other, views)]
            members += joining
            left = [other for other in left if other not in joining]
        of = cut.boxes[members]
        boxes.append(np.concatenate((of[:, :2].min(axis=0), of[:, 2:].max(axis=0))))
        rows.append(row)
    united = cut.select(np.array(rows, np.int64))
    return Found(np.array(boxes, np.float32).reshape(-1, 4), united.scores, united.class_ids, united.views)


def _continues(cut: Found, a: int, b: int, views: Sequence[View]) -> bool:
    first, second = views[cut.views[a]], views[cut.views[b]]
    if cut.class_ids[a] != cut.class_ids[b] or first == second:
        return False
    shared = np.array(
        (max(first[0], second[0]), max(first[1], second[1]), min(first[2], second[2]), min(first[3], second[3])),
        np.float32,
    )
    if (shared[2:] <= shared[:2]).any():
        return False
    clipped = cut.boxes[[a, b]]
    np.maximum(clipped[:, :2], shared[:2], out=clipped[:, :2])
    np.minimum(clipped[:, 2:], shared[2:], out=clipped[:, 2:])
    return bool(iou(clipped[:1], clipped[1:])[0, 0] >= _SAME_PART)
