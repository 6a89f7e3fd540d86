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
_MOST_CUT = 200
"""Most cut boxes that are compared with each other: their number counts squared."""


@dataclass(frozen=True, slots=True, eq=False)
class ViewDetections:
    """What was found in views: boxes xyxy float32 [n, 4] in pixels of the frame, scores float32 [n], class_ids int64
    [n], views int64 [n]: the index of the view each was found in, and sources int64 [n]: which of all that was found
    it is, counted over all views in order, or -1 if none."""

    boxes: FloatArray
    scores: FloatArray
    class_ids: IntArray
    views: IntArray
    sources: IntArray

    def __len__(self) -> int:
        return len(self.scores)

    def select(self, keep: IntArray | Mask) -> ViewDetections:
        return ViewDetections(
            self.boxes[keep], self.scores[keep], self.class_ids[keep], self.views[keep], self.sources[keep]
        )

    @classmethod
    def none(cls) -> ViewDetections:
        rows, whole = np.zeros(0, np.float32), np.zeros(0, np.int64)
        return cls(np.zeros((0, 4), np.float32), rows, whole, whole, whole)

    @classmethod
    def concatenated(cls, parts: Sequence[ViewDetections]) -> ViewDetections:
        if not parts:
            return cls.none()
        return cls(
            np.concatenate([part.boxes for part in parts]),
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.class_ids for part in parts]),
            np.concatenate([part.views for part in parts]),
            np.concatenate([part.sources for part in parts]),
        )


@dataclass(frozen=True, slots=True)
class Suppression:
    """How duplicates are recognised: boxes of one class (with `agnostic`, of any) that overlap by more than `max_iou`.

    `within_views` is false for models that return each object only once: boxes found in one view are then all kept,
    however much they overlap.
    """

    max_iou: float
    agnostic: bool
    within_views: bool = True


def merged(
    found: ViewDetections, views: Sequence[View], size: tuple[int, int], suppression: Suppression
) -> ViewDetections:
    """Returns one box per object, best score first; what was found in a single view, unchanged.

    `views` are those that `found.views` refers to, `size` is the frame's (width, height). Boxes that are whole compete
    by score (NMS). A box that its view cuts off loses to a whole box that covers it, whatever its score. Cut boxes that
    show parts of one object, and of which no view shows the whole, are united; of more than `_MOST_CUT` of them, those
    with the best scores are kept.
    """
    if len(views) <= 1:
        return found
    is_cut = np.zeros(len(found), np.bool_)
    for index, view in enumerate(views):
        rows = np.flatnonzero(found.views == index)
        is_cut[rows] = cut_off(found.boxes[rows], view, *size)
    whole = _suppressed(found.select(~is_cut), suppression)
    cut = found.select(is_cut)
    if not len(cut):
        return whole
    agnostic = suppression.agnostic
    cut = _united(cut.select(~_covered(cut, whole, agnostic=agnostic)), views)
    cut = cut.select(~_covered(cut, whole, agnostic=agnostic))
    return _suppressed(ViewDetections.concatenated([whole, cut]), suppression)


def duplicates(of: ViewDetections, among: ViewDetections, suppression: Suppression) -> Mask:
    """Returns which boxes of `of` show an object that is in `among`."""
    overlap = iou(of.boxes, among.boxes)
    if not suppression.agnostic:
        overlap[of.class_ids[:, None] != among.class_ids] = 0
    found: Mask = overlap.max(axis=1, initial=0) > suppression.max_iou
    return found


def _suppressed(found: ViewDetections, suppression: Suppression) -> ViewDetections:
    class_ids = None if suppression.agnostic else found.class_ids
    views = None if suppression.within_views else found.views
    return found.select(nms(found.boxes, found.scores, class_ids, suppression.max_iou, views=views))


def _covered(cut: ViewDetections, whole: ViewDetections, *, agnostic: bool) -> Mask:
    return covered(cut.boxes, None if agnostic else cut.class_ids, whole.boxes, whole.class_ids)


def covered(cut: FloatArray, cut_classes: IntArray | None, whole: FloatArray, whole_classes: IntArray) -> Mask:
    """Returns which boxes xyxy of `cut` [n, 4] are parts of a box of `whole` [m, 4], of the same class unless
    `cut_classes` is None."""
    share = intersection(cut, whole) / np.maximum(area(cut), 1)[:, None]
    if cut_classes is not None:
        share[cut_classes[:, None] != whole_classes] = 0
    found: Mask = share.max(axis=1, initial=0) >= _PART
    return found


def _united(cut: ViewDetections, views: Sequence[View]) -> ViewDetections:
    """Replaces cut boxes that continue each other across views by the box around them, with the best of their scores.

    An object across three tiles becomes one box, although the outer ones have nothing in common.
    """
    cut = cut.select(np.argsort(-cut.scores, kind="stable")[:_MOST_CUT])
    groups = _connected(_continuing(cut, views))
    first, group_of = np.unique(groups, return_inverse=True)  # the best box of each group has its number
    boxes = cut.boxes[first]
    np.minimum.at(boxes[:, :2], group_of, cut.boxes[:, :2])
    np.maximum.at(boxes[:, 2:], group_of, cut.boxes[:, 2:])
    return ViewDetections(boxes, cut.scores[first], cut.class_ids[first], cut.views[first], cut.sources[first])


def _continuing(cut: ViewDetections, views: Sequence[View]) -> Mask:
    """Returns a mask [n, n]: pairs of one class and two views that agree where both views see them."""
    of = np.array(views, np.float32).reshape(-1, 4)[cut.views]
    low = np.maximum(of[:, None, :2], of[None, :, :2])
    high = np.minimum(of[:, None, 2:], of[None, :, 2:])
    start = np.maximum(cut.boxes[:, None, :2], low)  # [i, j]: box i, clipped to what view j also shows
    end = np.minimum(cut.boxes[:, None, 2:], high)
    own = np.maximum(end - start, 0).prod(axis=2)
    sides = np.minimum(end, end.transpose(1, 0, 2)) - np.maximum(start, start.transpose(1, 0, 2))
    shared = np.maximum(sides, 0).prod(axis=2)
    agree = (shared > 0) & (shared >= _SAME_PART * (own + own.T - shared))
    same_view = (of[:, None] == of[None]).all(axis=2)
    found: Mask = agree & ~same_view & (cut.class_ids[:, None] == cut.class_ids)
    return found


def _connected(pairs: Mask) -> IntArray:
    """Returns for each row of a symmetric mask [n, n] the lowest row that it is connected with, itself included."""
    lowest = np.arange(len(pairs))
    linked = pairs | np.eye(len(pairs), dtype=np.bool_)
    while True:
        after = np.where(linked, lowest, len(pairs)).min(axis=1, initial=len(pairs))
        if np.array_equal(after, lowest):
            return lowest
        lowest = after
