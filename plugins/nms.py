"""Non-maximum suppression: of boxes that show the same object, only the best stays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightd.plugins.boxes import Boxes, iou
from sightd.plugins.types import FloatArray, IntArray

_BLOCK = 64
"""Boxes weighed against each other at once: large enough to spare calls, small enough to stay in the cache."""

Mask = NDArray[np.bool_]


def nms(
    boxes: FloatArray,
    scores: FloatArray,
    class_ids: IntArray | None,
    max_iou: float,
    *,
    limit: int | None = None,
    wanted: Mask | None = None,
) -> IntArray:
    """Indices of the boxes that stay, best score first; of equal scores the lower index comes first.

    boxes xyxy [n, 4], scores [n], class_ids [n]. Greedy: a box goes where a better one that stays, of the same class,
    overlaps it with an IoU above `max_iou`. `class_ids=None` lets boxes of all classes compete. `wanted` [n] says
    which boxes may be given; the others still suppress. At most `limit` are given.

    The result is that of the plain greedy loop, to the bit: classes are compared, not moved apart by an offset (which
    fails for negative and huge coordinates), and overlaps are taken in float64. The work is done in blocks of falling
    score, and ends with the block that fills `limit`: thousands of weak candidates cost little more than their sorting.
    """
    order = np.argsort(-scores, kind="stable")
    exact = boxes.astype(np.float64)
    kept = np.zeros(0, np.int64)
    for start in range(0, len(order), _BLOCK):
        block = order[start : start + _BLOCK]
        if len(kept):
            block = block[~_conflicts(exact, class_ids, kept, block, max_iou).any(axis=0)]
        block = block[_survivors(np.triu(_conflicts(exact, class_ids, block, block, max_iou), 1))]
        kept = np.concatenate((kept, block))
        if limit is not None and _count(kept, wanted) >= limit:
            break
    return (kept if wanted is None else kept[wanted[kept]])[:limit]


def _count(kept: IntArray, wanted: Mask | None) -> int:
    return len(kept) if wanted is None else int(np.count_nonzero(wanted[kept]))


def _conflicts(boxes: Boxes, class_ids: IntArray | None, a: IntArray, b: IntArray, max_iou: float) -> Mask:
    """[len(a), len(b)]: where two boxes cannot both stay."""
    overlap: Mask = iou(boxes[a], boxes[b]) > max_iou
    if class_ids is not None:
        overlap &= class_ids[a][:, None] == class_ids[b]
    return overlap


def _survivors(beats: NDArray[Any]) -> Mask:
    """The greedy choice for boxes in falling order of score; `beats[i, j]` (i < j): i, if it stays, removes j.

    Starts from "all stay" and repeats "j stays if nobody who stays beats j". After k rounds the first k + 1 boxes are
    right, for nobody but earlier ones beats them; where a round changes nothing, all are. A round for every link
    of the longest chain is needed, in practice two to five (Zheng et al. 2020, "Cluster-NMS", arXiv 2005.03572).
    """
    stays: Mask = np.ones(len(beats), np.bool_)
    while True:
        after: Mask = ~np.logical_or.reduce(beats[stays], axis=0)
        if np.array_equal(after, stays):
            return stays
        stays = after
