"""How tracks start, are confirmed, are found again and end: one pure step from frame to frame.

ByteTrack (Zhang et al. 2022) with the observation-centric parts of OC-SORT (Cao et al. 2023), after SORT (Bewley et al.
2016). The detections of a frame are matched in three rounds:

1. Confident detections with all tracks, by overlap with the predicted box and direction of movement (OC-SORT).
2. Doubtful detections with tracks seen in the previous frame, by overlap only: a half-hidden object gets a low score at
   the place where its track expects it, while a low score elsewhere is background (ByteTrack).
3. The remaining confident detections with the remaining tracks, by overlap with the predicted or the *last observed*
   box, whichever is greater: an object that stopped while it was hidden is at its last position, not at the predicted
   one (OC-SORT's recovery). Boxes are widened in proportion to the time between frames (C-BIoU, Yang et al. 2023), so
   an object that has moved by as much as its own size since the previous frame is found again.

OC-SORT's third part, the re-update of the filter after a gap, is not needed: a state here is never advanced without an
observation, so it accumulates no error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sightd.engines.geometry import from_centre_size, iou, to_centre_size
from sightd.plugins.api import Detections
from sightd.plugins.tracker import motion
from sightd.plugins.tracker.association import NO_PAIRS, Indices, Pairs, assign, momentum
from sightd.plugins.tracker.camera_tracks import (
    CENTRE,
    CLASS_ID,
    HEIGHT,
    HITS,
    ID,
    MOTION,
    OBSERVED,
    SEEN_AT,
    START,
    CameraTracks,
    fresh,
    seen_again,
)
from sightd.plugins.tracker.motion import Rows

_DOUBTFUL_OVERLAP = 0.5
"""Least overlap of a doubtful detection with its track's predicted box (ByteTrack)."""
_WIDENING, _WIDEST = 2.5, 0.5
"""Each side of a box moves out by `_WIDENING` times its size per second between frames, but at most by `_WIDEST`."""


@dataclass(frozen=True, slots=True)
class LifecycleRules:
    """Parameters of a track's life cycle. Times in seconds."""

    high_score: float
    low_score: float
    min_overlap: float
    min_hits: int
    confirm_within: float
    max_lost: float
    max_tracks: int
    match_classes: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """The usable detections of a frame with boxes as (cx, cy, w, h), and the row of each in `Detections`."""

    boxes: Rows
    scores: Rows
    class_ids: Rows
    row: Indices


def step(
    before: CameraTracks, found: Detections, now: float, rules: LifecycleRules
) -> tuple[CameraTracks, NDArray[np.int64]]:
    """Returns the tracks after a frame at `now` ≥ `before.at`, and each one's row in `found`, or -1."""
    seen = _usable(found, rules.low_score)
    tracks, columns = _match(before, seen, now, rules)
    rows = before.rows.copy()
    if len(tracks):
        rows[tracks] = _updated(before.rows[tracks], seen, columns, now)
    detection = np.full(len(rows), -1, np.int64)
    detection[tracks] = seen.row[columns]

    missed = detection < 0
    if missed.any():
        kept = ~missed | ((rows[:, ID] > 0) & (now - rows[:, SEEN_AT] <= rules.max_lost))
        rows, detection = rows[kept], detection[kept]
    starting = _starting(seen, columns, rules.max_tracks - len(rows), rules.high_score)
    if len(starting):
        rows = np.concatenate((rows, fresh(seen.boxes[starting], seen.scores[starting], seen.class_ids[starting], now)))
        detection = np.concatenate((detection, seen.row[starting]))
    next_id = _confirm(rows, before, now, rules)
    after = replace(before, at=now, interval=now - before.at, rows=rows, labels=found.labels, next_id=next_id)
    return after, detection


def _usable(found: Detections, low_score: float) -> _Seen:
    usable = (found.scores >= low_score) & np.isfinite(found.boxes).all(axis=1)
    row = np.flatnonzero(usable)
    return _Seen(
        to_centre_size(found.boxes[row].astype(np.float64)),
        found.scores[row].astype(np.float64),
        found.class_ids[row].astype(np.float64),
        row,
    )


def _match(before: CameraTracks, seen: _Seen, now: float, rules: LifecycleRules) -> Pairs:
    """Returns the pairs of track and column of `seen` found by the three rounds."""
    rows = before.rows
    if not len(rows) or not len(seen.row):
        return NO_PAIRS
    predicted = motion.predict(rows[:, MOTION], now - rows[:, SEEN_AT])
    strange = rows[:, CLASS_ID, None] != seen.class_ids if rules.match_classes else None
    overlap = _overlaps(predicted, seen.boxes, strange)
    confident = seen.scores >= rules.high_score

    pairs = _confident_pairs(rows, seen, overlap, np.flatnonzero(confident), rules.min_overlap)
    if not confident.all():
        recent = (rows[:, ID] > 0) & (rows[:, SEEN_AT] >= before.at)
        pairs = _further(pairs, lambda: overlap, recent, ~confident, max(_DOUBTFUL_OVERLAP, rules.min_overlap))

    def widened() -> Rows:
        share = min(_WIDENING * (now - before.at), _WIDEST)
        found = motion.widened(seen.boxes, share)
        return np.maximum(
            _overlaps(motion.widened(predicted, share), found, strange),
            _overlaps(motion.widened(rows[:, OBSERVED], share), found, strange),
        )

    return _further(pairs, widened, np.ones(len(rows), np.bool_), confident, rules.min_overlap)


def _overlaps(first: Rows, second: Rows, strange: NDArray[np.bool_] | None) -> Rows:
    """Returns the IoU of boxes (cx, cy, w, h), set to zero for pairs that are not allowed (`strange`)."""
    overlap = iou(from_centre_size(first), from_centre_size(second))
    if strange is not None:
        overlap[strange] = 0
    return overlap


def _confident_pairs(rows: Rows, seen: _Seen, overlap: Rows, high: Indices, least: float) -> Pairs:
    def straight_on(tracks: Indices, columns: Indices) -> Rows:
        of, at = rows[tracks], high[columns]
        return momentum(of[:, START], of[:, CENTRE], of[:, HEIGHT], seen.boxes[at, :2], seen.scores[at])

    tracks, columns = assign(overlap[:, high], least, straight_on)
    return tracks, high[columns]


def _further(
    pairs: Pairs,
    overlap: Callable[[], Rows],
    tracks: NDArray[np.bool_],
    columns: NDArray[np.bool_],
    least: float,
) -> Pairs:
    """Adds pairs among the still unmatched `tracks` and `columns`; calls `overlap` only if both have some left."""
    free_tracks = np.flatnonzero(_without(tracks, pairs[0]))
    free_columns = np.flatnonzero(_without(columns, pairs[1]))
    if not len(free_tracks) or not len(free_columns):
        return pairs
    more_tracks, more_columns = assign(overlap()[free_tracks[:, None], free_columns], least)
    return np.concatenate((pairs[0], free_tracks[more_tracks])), np.concatenate((pairs[1], free_columns[more_columns]))


def _without(chosen: NDArray[np.bool_], taken: Indices) -> NDArray[np.bool_]:
    left = chosen.copy()
    left[taken] = False
    return left


def _updated(rows: Rows, seen: _Seen, columns: Indices, now: float) -> Rows:
    boxes = seen.boxes[columns]
    states = motion.observe(rows[:, MOTION], now - rows[:, SEEN_AT], boxes)
    return seen_again(rows, boxes, seen.scores[columns], now, states)


def _starting(seen: _Seen, matched: Indices, room: int, high_score: float) -> Indices:
    """Returns the columns of `seen` that start a track: confident and unmatched, the best ones if room is short."""
    starting = np.flatnonzero(_without(seen.scores >= high_score, matched))
    if len(starting) > room:
        best = np.argsort(-seen.scores[starting], kind="stable")[: max(room, 0)]
        starting = np.sort(starting[best])
    return starting


def _confirm(rows: Rows, before: CameraTracks, now: float, rules: LifecycleRules) -> int:
    """Assigns ids, in place, to tracks that were seen often enough, and returns the next free id.

    Tracks of a camera's first frame are confirmed at once, because there was no earlier frame to see them in.
    """
    new = np.flatnonzero((rows[:, ID] == 0) & (rows[:, HITS] >= _needed(before, now, rules)))
    if len(new):
        rows[new, ID] = np.arange(before.next_id, before.next_id + len(new))
    return before.next_id + len(new)


def _needed(before: CameraTracks, now: float, rules: LifecycleRules) -> float:
    """Returns how often a track must have been seen. Uses the shorter of the last two frame intervals, so that one late
    frame is not mistaken for a low frame rate."""
    if before.at == -np.inf:
        return 1
    interval = min(now - before.at, before.interval)
    if interval <= 0:
        return rules.min_hits
    return min(rules.min_hits, 1 + rules.confirm_within // interval)
