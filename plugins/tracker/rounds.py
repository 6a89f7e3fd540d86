"""Matches the detections of a frame with a camera's tracks, in rounds.

1. Confident detections with confirmed tracks, by overlap with the predicted box and direction of movement (OC-SORT).
2. Doubtful detections with confirmed tracks seen lately, by overlap only: a half-hidden object gets a low score at the
   place where its track expects it, while a low score elsewhere is background (ByteTrack).
3. The remaining confident detections with the remaining confirmed tracks, by overlap with the predicted or the *last
   observed* box, whichever is greater: an object that stopped while it was hidden is at its last position, not at the
   predicted one (OC-SORT's recovery). Boxes are widened in proportion to the time between frames, so an object that has
   moved by as much as its own size since the previous frame is found again.
4. What is left with tracks that are not confirmed yet, as in 1 and 3. They come last (ByteTrack): coarse detectors draw
   a second box beside an object on some frames, and the short track which that starts must not take over the object.

In rounds 1, 2 and 4 boxes are widened by the uncertainty of the prediction, which grows with the time since the object
was seen and with the noise of the detector.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sightd.plugins.tracker import motion
from sightd.plugins.tracker.association import NO_PAIRS, Indices, Pairs, assign, buffered_iou, momentum
from sightd.plugins.tracker.camera_tracks import (
    CENTRE,
    CLASS_ID,
    HEIGHT,
    ID,
    MOTION,
    OBSERVED,
    SEEN_AT,
    START,
    CameraTracks,
)
from sightd.plugins.tracker.motion import Rows

_DOUBTFUL_OVERLAP = 0.2
"""Least overlap of a doubtful detection with its track's predicted box."""
_DEVIATIONS, _MOST_DEVIATION = 0.5, 0.5
"""A box is widened by this many standard deviations of its predicted centre, but at most by this share of its size."""
_WIDENING, _WIDEST = 2.5, 0.5
"""In round 3, each side moves out by `_WIDENING` times the size per second between frames, but at most by `_WIDEST`."""

_LATELY = 0.5
"""Doubtful detections continue tracks that were seen this recently (s), or in the previous frame."""

Mask = NDArray[np.bool_]


class MatchRules(Protocol):
    """Parameters of the rounds."""

    @property
    def high_score(self) -> float: ...
    @property
    def min_overlap(self) -> float: ...
    @property
    def match_classes(self) -> bool: ...


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """The usable detections of a frame with boxes as (cx, cy, w, h), and the row of each in `Detections`."""

    boxes: Rows
    scores: Rows
    class_ids: Rows
    row: Indices


def match(before: CameraTracks, seen: Seen, now: float, rules: MatchRules, alike: Rows | None = None) -> Pairs:
    """Returns the pairs of track and column of `seen` for the frame at `now` ≥ `before.at`. `alike` [n, m] is a bonus
    for how alike track and detection look, 0 if that is not known; it decides between candidates."""
    rows = before.rows
    if not len(rows) or not len(seen.row):
        return NO_PAIRS
    elapsed = now - rows[:, SEEN_AT]
    predicted = motion.predict(rows[:, MOTION], elapsed)
    strange = rows[:, CLASS_ID, None] != seen.class_ids if rules.match_classes else None
    share = np.minimum(_DEVIATIONS * motion.deviation(rows[:, MOTION], elapsed), _MOST_DEVIATION)
    overlap = _overlap(predicted, seen.boxes, share, strange)
    wide = np.full((len(rows), 2), min(_WIDENING * (now - before.at), _WIDEST))

    def recovered() -> Rows:
        return np.maximum(
            _overlap(predicted, seen.boxes, wide, strange), _overlap(rows[:, OBSERVED], seen.boxes, wide, strange)
        )

    def keeps_direction(tracks: Indices, columns: Indices) -> Rows:
        of = rows[tracks]
        bonus = momentum(of[:, START], of[:, CENTRE], of[:, HEIGHT], seen.boxes[columns, :2], seen.scores[columns])
        return bonus if alike is None else bonus + alike[tracks[:, None], columns]

    confirmed, confident = rows[:, ID] > 0, seen.scores >= rules.high_score
    recent = confirmed & ((rows[:, SEEN_AT] >= before.at) | (elapsed <= _LATELY))
    least = rules.min_overlap
    pairs = _further(NO_PAIRS, lambda: overlap, confirmed, confident, least, keeps_direction)
    pairs = _further(pairs, lambda: overlap, recent, ~confident, max(_DOUBTFUL_OVERLAP, least))
    pairs = _further(pairs, recovered, confirmed, confident, least)
    pairs = _further(pairs, lambda: overlap, ~confirmed, confident, least)
    return _further(pairs, recovered, ~confirmed, confident, least)


def _overlap(tracks: Rows, found: Rows, share: Rows, strange: Mask | None) -> Rows:
    """Returns the IoU of boxes widened by `share` [n, 2] of the track's size; 0 for pairs not allowed (`strange`)."""
    overlap = buffered_iou(tracks, found, share * tracks[:, 2:])
    if strange is not None:
        overlap[strange] = 0
    return overlap


def _further(
    pairs: Pairs,
    overlap: Callable[[], Rows],
    tracks: Mask,
    columns: Mask,
    least: float,
    bonus: Callable[[Indices, Indices], Rows] | None = None,
) -> Pairs:
    """Adds pairs among the still unmatched `tracks` and `columns`; calls `overlap` only if both have some left."""
    free_tracks = np.flatnonzero(_without(tracks, pairs[0]))
    free_columns = np.flatnonzero(_without(columns, pairs[1]))
    if not len(free_tracks) or not len(free_columns):
        return pairs

    def bonus_of(some: Indices, others: Indices) -> Rows:
        return bonus(free_tracks[some], free_columns[others]) if bonus else np.zeros((len(some), len(others)))

    more_tracks, more_columns = assign(overlap()[free_tracks[:, None], free_columns], least, bonus_of)
    return np.concatenate((pairs[0], free_tracks[more_tracks])), np.concatenate((pairs[1], free_columns[more_columns]))


def _without(chosen: Mask, taken: Indices) -> Mask:
    left = chosen.copy()
    left[taken] = False
    return left
