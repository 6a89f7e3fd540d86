"""How tracks start, are confirmed, are found again and end: one pure step from frame to frame.

ByteTrack (Zhang et al. 2022) with the observation-centric parts of OC-SORT (Cao et al. 2023), after SORT (Bewley et al.
2016). The detections of a frame are matched in rounds (`rounds`). What is left of the confident ones starts tracks.

A track is confirmed when it was seen often enough. It is shown unless it looks like clutter: a sign or a plant that the
detector takes for a person gets weak scores, on some frames only, and never moves. So a track needs good scores, or it
must have moved.

Carried detections (`Detections.carried`) are no observations: they keep a track alive that no other detection matches,
and neither start nor confirm one.

OC-SORT's third part, the re-update of the filter after a gap, is not needed: a state here is never advanced without an
observation, so it accumulates no error; if a carried detection stands for one, it slows down to a halt.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sightd.engines.geometry import from_centre_size, iou, to_centre_size
from sightd.plugins.api import Appearances, Detections, IntArray
from sightd.plugins.tracker.association import Indices
from sightd.plugins.tracker.camera_tracks import (
    BESIDE,
    HITS,
    ID,
    ORIGIN,
    PROVEN,
    SCORE_SUM,
    SCORE_WEIGHT,
    SEEN_AT,
    VISIBLE,
    CameraTracks,
    fresh,
    kept,
    seen_again,
)
from sightd.plugins.tracker.motion import Rows
from sightd.plugins.tracker.reidentification import look_bonus
from sightd.plugins.tracker.rounds import Seen, match

_CONVINCING, _CLEAR = 0.2, 0.6
"""A track's mean score is convincing, or clear, from this share of the way from `high_score` to 1."""
_WEAK = 0.9
"""A track that is not proven is hidden again if its mean score falls below this share of `high_score`."""
_SCORES_OVER = 1.5
"""Time constant of the mean score (s)."""
_MOVED = 1.0
"""An object has moved once it is this many widths, or half as many heights, from where its track began."""
_BESIDE, _MORE_HITS = 0.2, 2
"""A track that begins with this much overlap (IoU) with a matched detection needs more matches to be confirmed: coarse
detectors often draw a second box beside an object. If classes are matched, only one of its own class counts: a bicycle
is no second box of its rider."""


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


def step(
    before: CameraTracks, found: Detections, now: float, rules: LifecycleRules, looks: Appearances | None = None
) -> tuple[CameraTracks, IntArray, IntArray]:
    """Returns the tracks after a frame at `now` ≥ `before.at`, each one's row in `found`, or -1, and the row of the
    carried detection that stands for it, or -1. `looks` decide between several candidates."""
    seen = _usable(found, ~found.carried, rules.low_score)
    tracks, columns = match(before, seen, now, rules, look_bonus(before, seen.row, looks))
    rows = _aged(before, now)
    if len(tracks):
        rows[tracks] = seen_again(rows[tracks], seen.boxes[columns], seen.scores[columns], seen.class_ids[columns], now)
    detection = np.full(len(rows), -1, np.int64)
    detection[tracks] = seen.row[columns]
    expected = np.full(len(rows), -1, np.int64)

    missed = detection < 0
    if missed.any():
        carried, at_rows = _carried(before, found, missed, now, rules)
        rows[carried] = kept(rows[carried], now)
        expected[carried], missed[carried] = at_rows, False
        lives = ~missed | ((rows[:, ID] > 0) & (now - rows[:, SEEN_AT] <= rules.max_lost))
        rows, detection, expected = rows[lives], detection[lives], expected[lives]
    starting = _starting(seen, columns, rules.max_tracks - len(rows), rules.high_score)
    if len(starting):
        rows = np.concatenate((rows, _begun(seen, starting, columns, now, rules)))
        detection = np.concatenate((detection, seen.row[starting]))
        expected = np.concatenate((expected, np.full(len(starting), -1, np.int64)))
    next_id = _confirm(rows, detection >= 0, before, now, rules)
    after = replace(before, at=now, interval=now - before.at, rows=rows, labels=found.labels, next_id=next_id)
    return after, detection, expected


def _carried(
    before: CameraTracks, found: Detections, missed: NDArray[np.bool_], now: float, rules: LifecycleRules
) -> tuple[Indices, IntArray]:
    """Returns which of the tracks that were not observed (`missed`) match a carried detection, and its row."""
    rows = np.flatnonzero(missed)
    carried = _usable(found, found.carried, rules.low_score)
    tracks, columns = match(replace(before, rows=before.rows[rows]), carried, now, rules)
    return rows[tracks], carried.row[columns]


def _usable(found: Detections, wanted: NDArray[np.bool_], low_score: float) -> Seen:
    usable = wanted & (found.scores >= low_score) & np.isfinite(found.boxes).all(axis=1)
    row = np.flatnonzero(usable)
    return Seen(
        to_centre_size(found.boxes[row].astype(np.float64)),
        found.scores[row].astype(np.float64),
        found.class_ids[row].astype(np.float64),
        row,
    )


def _aged(before: CameraTracks, now: float) -> Rows:
    """Returns the rows with the older scores counting less, and a frame more over which they are averaged."""
    rows = before.rows.copy()
    rows[:, [SCORE_SUM, SCORE_WEIGHT]] *= np.exp((before.at - now) / _SCORES_OVER)
    rows[:, SCORE_WEIGHT] += 1
    return rows


def _begun(seen: Seen, starting: Indices, matched: Indices, now: float, rules: LifecycleRules) -> Rows:
    """Returns the rows of tracks that start with the detections `starting`; `matched` are those of other tracks."""
    rows = fresh(seen.boxes[starting], seen.scores[starting], seen.class_ids[starting], now)
    if len(matched):
        overlap = iou(from_centre_size(seen.boxes[starting]), from_centre_size(seen.boxes[matched]))
        if rules.match_classes:
            overlap[seen.class_ids[starting, None] != seen.class_ids[matched]] = 0
        rows[:, BESIDE] = overlap.max(axis=1) > _BESIDE
    return rows


def _starting(seen: Seen, matched: Indices, room: int, high_score: float) -> Indices:
    """Returns the columns of `seen` that start a track: confident and unmatched, the best ones if room is short."""
    starting = np.setdiff1d(np.flatnonzero(seen.scores >= high_score), matched)
    if len(starting) > room:
        best = np.argsort(-seen.scores[starting], kind="stable")[: max(room, 0)]
        starting = np.sort(starting[best])
    return starting


def _confirm(rows: Rows, observed: NDArray[np.bool_], before: CameraTracks, now: float, rules: LifecycleRules) -> int:
    """Decides, in place, which tracks are proven and visible, assigns ids to newly confirmed ones, which must be among
    the `observed`, and returns the next free id.

    Tracks of a camera's first frame are confirmed at once, because there was no earlier frame to see them in.
    """
    mean = rows[:, SCORE_SUM] / rows[:, SCORE_WEIGHT]
    way = np.abs(rows[:, :2] - rows[:, ORIGIN]) / np.maximum(rows[:, 2:4], 1)
    proven = (
        (rows[:, PROVEN] > 0) | (mean >= _towards_one(rules.high_score, _CLEAR)) | (way >= [_MOVED, _MOVED / 2]).any(1)
    )
    convincing = proven | (mean >= _towards_one(rules.high_score, _CONVINCING))

    new = np.flatnonzero(
        (rows[:, ID] == 0) & observed & convincing & (rows[:, HITS] >= _needed(rows, before, now, rules))
    )
    if len(new):
        rows[new, ID] = np.arange(before.next_id, before.next_id + len(new))
    rows[:, PROVEN] = proven
    weak = ~proven & (mean < _WEAK * rules.high_score)
    rows[:, VISIBLE] = (rows[:, ID] > 0) & ~weak & ((rows[:, VISIBLE] > 0) | convincing)
    return before.next_id + len(new)


def _towards_one(score: float, share: float) -> float:
    return score + share * (1 - score)


def _needed(rows: Rows, before: CameraTracks, now: float, rules: LifecycleRules) -> Rows:
    """Returns how often each track must have been seen. Uses the shorter of the last two frame intervals, so that one
    late frame is not mistaken for a low frame rate."""
    if before.at == -np.inf:
        return np.ones(len(rows))
    wanted = rules.min_hits + _MORE_HITS * rows[:, BESIDE]
    interval = min(now - before.at, before.interval)
    return wanted if interval <= 0 else np.minimum(wanted, 1 + rules.confirm_within // interval)
