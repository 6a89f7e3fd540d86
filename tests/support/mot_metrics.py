"""Tracking accuracy: CLEAR MOT (Bernardin, Stiefelhagen 2008) and IDF1 (Ristani et al. 2016)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import lap
import numpy as np

from sightd.engines.geometry import iou
from sightd.plugins.api import FloatArray, IntArray

_SAME = 0.5
"""Minimum IoU at which a track counts as being on an object."""


@dataclass(frozen=True, slots=True)
class Score:
    """`mota` and `idf1` are fractions, 1 is perfect; the rest are counts over the sequence."""

    mota: float
    idf1: float
    switches: int
    missed: int
    false: int


@dataclass(slots=True)
class Scorer:
    """Scores how well a sequence was tracked, frame by frame."""

    _truth: int = 0
    _told: int = 0
    _hits: int = 0
    _switches: int = 0
    _last: dict[int, int] = field(default_factory=dict)
    _together: Counter[tuple[int, int]] = field(default_factory=Counter)

    def add(self, truth: FloatArray, truth_ids: IntArray, told: FloatArray, told_ids: IntArray) -> None:
        """Adds one frame: boxes xyxy and ids of the true objects, and of those that the tracker reported."""
        self._truth += len(truth_ids)
        self._told += len(told_ids)
        if not len(truth_ids) or not len(told_ids):
            return
        overlap = iou(truth.astype(np.float64), told.astype(np.float64))
        kept = np.array([self._last.get(int(one), -1) for one in truth_ids])[:, None] == told_ids
        for row, column in zip(*np.nonzero(overlap >= _SAME), strict=True):
            self._together[int(truth_ids[row]), int(told_ids[column])] += 1
        # As in CLEAR MOT, an object keeps its track as long as the two overlap.
        cost = np.where(overlap >= _SAME, 1 - overlap - 2 * kept, 1e6)
        _, column_of, _ = lap.lapjv(cost, extend_cost=True, cost_limit=10.0)
        for row in np.flatnonzero(column_of >= 0):
            one, track = int(truth_ids[row]), int(told_ids[column_of[row]])
            self._hits += 1
            self._switches += self._last.get(one, track) != track
            self._last[one] = track

    def score(self) -> Score:
        missed, false = self._truth - self._hits, self._told - self._hits
        return Score(
            mota=1 - (missed + false + self._switches) / max(self._truth, 1),
            idf1=2 * self._identity_hits() / max(self._truth + self._told, 1),
            switches=self._switches,
            missed=missed,
            false=false,
        )

    def _identity_hits(self) -> int:
        """Returns the frames explained by the best one-to-one assignment of tracks to objects over the sequence."""
        objects = {one: row for row, one in enumerate(sorted({pair[0] for pair in self._together}))}
        tracks = {track: column for column, track in enumerate(sorted({pair[1] for pair in self._together}))}
        if not objects:
            return 0
        gain = np.zeros((len(objects), len(tracks)))
        for (one, track), frames in self._together.items():
            gain[objects[one], tracks[track]] = frames
        _, column_of, _ = lap.lapjv(-gain, extend_cost=True)
        rows = np.flatnonzero(column_of >= 0)
        return int(gain[rows, column_of[rows]].sum())
