"""Matches detections to tracks by overlap and direction of movement, with an optimal assignment."""

from __future__ import annotations

from collections.abc import Callable

import lap
import numpy as np
from numpy.typing import NDArray

from sightd.plugins.tracker.motion import Rows

Indices = NDArray[np.intp]
Pairs = tuple[Indices, Indices]
"""Row index and column index of each pair."""

NO_PAIRS: Pairs = (np.zeros(0, np.intp), np.zeros(0, np.intp))

_MOMENTUM_WEIGHT = 0.2
"""Weight of direction relative to overlap (OC-SORT's λ)."""
_STILL = 0.1
"""A displacement shorter than this share of the object's height counts as noise, not as a direction."""
_IMPOSSIBLE = 1e6


def buffered_iou(tracks: Rows, found: Rows, margin: Rows) -> Rows:
    """Returns the IoU [n, m] of boxes (cx, cy, w, h), `tracks` [n, 4] and `found` [m, 4], each widened by the track's
    `margin` [n, 2] px on every side (C-BIoU, Yang et al. 2023): boxes less than twice the margin apart overlap. Two
    boxes without area have an IoU of 0.
    """
    edge = margin[:, None]
    half, other = tracks[:, None, 2:] / 2 + edge, found[None, :, 2:] / 2 + edge
    apart = np.abs(tracks[:, None, :2] - found[None, :, :2])
    side = np.minimum(np.minimum(half, other) * 2, half + other - apart)
    shared = np.maximum(side, 0).prod(axis=2)
    union = 4 * (half.prod(axis=2) + other.prod(axis=2)) - shared
    overlap: Rows = shared / np.maximum(union, np.finfo(np.float64).tiny)
    return overlap


def momentum(start: Rows, last: Rows, heights: Rows, found: Rows, scores: Rows) -> Rows:
    """Returns OC-SORT's observation-centric momentum (Cao et al. 2023, eq. 7): a bonus [n, m] for keeping direction.

    For each track, compares the displacement from an earlier observation `start` [n, 2] to its `last` [n, 2] with the
    displacement from `start` to the centre of each detection, `found` [m, 2]. Confident detections (`scores` [m]) count
    for more. A displacement that is short relative to the object's height (`heights` [n]) carries no information and
    earns little bonus.
    """
    least = _STILL * heights[:, None]
    heading = last - start
    heading = heading / np.maximum(np.hypot(heading[:, :1], heading[:, 1:]), least)
    way = found[None] - start[:, None]
    way = way / np.maximum(np.hypot(way[..., :1], way[..., 1:]), least[:, None])
    cosine = np.einsum("nk,nmk->nm", heading, way).clip(-1, 1)
    bonus: Rows = _MOMENTUM_WEIGHT * scores * (0.5 - np.arccos(cosine) / np.pi)
    return bonus


def assign(overlap: Rows, least: float, bonus: Callable[[Indices, Indices], Rows] | None = None) -> Pairs:
    """Assigns rows to columns so that the sum of `overlap` [n, m] and bonus is greatest.

    Only pairs with an overlap of at least `least` are formed. `bonus(rows, columns)` returns the bonus of the given
    rows with the given columns. It is computed only for rows and columns with more than one candidate: most objects in
    most frames have just one.
    """
    possible = overlap >= least
    rows, columns = np.nonzero(possible)
    if not len(rows):
        return NO_PAIRS
    certain = (possible.sum(axis=1)[rows] == 1) & (possible.sum(axis=0)[columns] == 1)
    if certain.all():
        return rows, columns
    open_rows, open_columns = np.unique(rows[~certain]), np.unique(columns[~certain])
    chosen = np.ix_(open_rows, open_columns)
    gain = overlap[chosen]
    if bonus is not None:
        gain = gain + bonus(open_rows, open_columns)
    cost = np.where(possible[chosen], 1 - gain, _IMPOSSIBLE)
    _, column_of, _ = lap.lapjv(cost, extend_cost=True, cost_limit=1 - least + _MOMENTUM_WEIGHT / 2)
    matched = column_of >= 0
    return (
        np.concatenate((rows[certain], open_rows[matched])),
        np.concatenate((columns[certain], open_columns[column_of[matched]])),
    )
