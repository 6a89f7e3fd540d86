"""Non-maximum suppression: keeps only the best of the boxes that show the same object."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightd.engines.geometry import iou, oriented_overlap
from sightd.plugins.api import FloatArray, IntArray

_BLOCK = 64
"""Boxes compared at once: enough to amortise call overhead, few enough to stay in the cache."""

Mask = NDArray[np.bool_]


def nms(
    boxes: FloatArray,
    scores: FloatArray,
    class_ids: IntArray | None,
    max_iou: float,
    *,
    limit: int | None = None,
    wanted: Mask | None = None,
    views: IntArray | None = None,
    corners: FloatArray | None = None,
) -> IntArray:
    """Returns the indices of the boxes to keep, best score first; equal scores are ordered by index.

    boxes xyxy [n, 4], scores [n], class_ids [n]. Greedy: a box is dropped if a better kept box of the same class
    overlaps it with an IoU above `max_iou`. With `class_ids=None`, boxes of all classes compete. `wanted` [n] marks the
    boxes that may be returned; the others still suppress. At most `limit` indices are returned. With `views` [n], boxes
    with the same number there do not suppress each other. With `corners` [n, 4, 2], rectangles of any angle are
    compared instead of the boxes around them, by ProbIoU (`oriented_overlap`).

    The result equals that of the plain greedy loop exactly: class ids are compared rather than boxes shifted by a class
    offset (which fails for negative and huge coordinates), and overlaps are computed in float64. Boxes are processed in
    blocks of descending score, up to the block that fills `limit`: thousands of weak candidates cost little more than
    sorting them.
    """
    order = np.argsort(-scores, kind="stable")
    exact = (boxes if corners is None else corners).astype(np.float64)
    overlap_of = iou if corners is None else oriented_overlap

    def conflicts(a: IntArray, b: IntArray) -> Mask:
        """Returns a mask [len(a), len(b)] of pairs of which only one box can be kept."""
        overlap: Mask = overlap_of(exact[a], exact[b]) > max_iou
        if class_ids is not None:
            overlap &= class_ids[a][:, None] == class_ids[b]
        if views is not None:
            overlap &= views[a][:, None] != views[b]
        return overlap

    kept = np.zeros(0, np.int64)
    for start in range(0, len(order), _BLOCK):
        block = order[start : start + _BLOCK]
        if len(kept):
            block = block[~conflicts(kept, block).any(axis=0)]
        block = block[_survivors(np.triu(conflicts(block, block), 1))]
        kept = np.concatenate((kept, block))
        if limit is not None and _count(kept, wanted) >= limit:
            break
    return (kept if wanted is None else kept[wanted[kept]])[:limit]


def _count(kept: IntArray, wanted: Mask | None) -> int:
    return len(kept) if wanted is None else int(np.count_nonzero(wanted[kept]))


def _survivors(beats: NDArray[Any]) -> Mask:
    """Returns the greedy choice for boxes in descending order of score; `beats[i, j]` (i < j): i, if kept, removes j.

    Starts from "all are kept" and repeats "j is kept if no kept box beats it". After k rounds the first k + 1 boxes are
    final, because only earlier boxes can beat them; once a round changes nothing, all are final. It takes one round per
    link of the longest chain, in practice two to five (Zheng et al. 2020, "Cluster-NMS", arXiv 2005.03572).
    """
    stays: Mask = np.ones(len(beats), np.bool_)
    while True:
        after: Mask = ~np.logical_or.reduce(beats[stays], axis=0)
        if np.array_equal(after, stays):
            return stays
        stays = after
