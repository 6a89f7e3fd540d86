"""The tracks of one camera: a table with one row of numbers per track, and the results derived from it for a given
time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightd.engines.geometry import clip, from_centre_size
from sightd.plugins.api import Tracks
from sightd.plugins.tracker import motion
from sightd.plugins.tracker.motion import Rows

MOTION = slice(0, motion.WIDTH)
OBSERVED = slice(20, 24)
"""Last observed box (cx, cy, w, h)."""
CENTRE = slice(20, 22)
HEIGHT = 23
START = slice(24, 26)
"""Observed centre from which the direction of movement is computed."""
NEXT_START, NEXT_START_AT = slice(26, 28), 28
"""Observed centre that becomes START once it is old enough, and its time."""
SEEN_AT, BORN_AT = 29, 30
SCORE, CLASS_ID = 31, 32
ID = 33
"""Zero until the track is confirmed."""
HITS = 34
WIDTH = 35

_DIRECTION_OVER = 0.15
"""Directions of movement span between one and two times this time (s); OC-SORT uses three frames."""


@dataclass(frozen=True, slots=True, eq=False)
class CameraTracks:
    """The tracks of one camera after the frame at time `at`. Immutable; replaced as a whole. `interval` is the time in
    s between the previous frame and this one.

    `rows` is float64 [n, WIDTH], oldest track first; `size` is the frame's (width, height). The filter state of a track
    belongs to the time of its last observation; prediction computes from it and does not change it.
    """

    at: float
    size: tuple[int, int]
    rows: Rows
    labels: tuple[str, ...]
    next_id: int
    interval: float = np.inf


def fresh(boxes: Rows, scores: Rows, class_ids: Rows, now: float) -> Rows:
    """Returns rows for tracks that start now with `boxes` (cx, cy, w, h) [n, 4]; not yet confirmed."""
    rows = np.zeros((len(boxes), WIDTH))
    rows[:, MOTION] = motion.begin(boxes)
    rows[:, OBSERVED] = boxes
    rows[:, START] = rows[:, NEXT_START] = boxes[:, :2]
    rows[:, [NEXT_START_AT, SEEN_AT, BORN_AT]] = now
    rows[:, SCORE], rows[:, CLASS_ID], rows[:, HITS] = scores, class_ids, 1
    return rows


def seen_again(rows: Rows, boxes: Rows, scores: Rows, now: float, states: Rows) -> Rows:
    """Returns rows [n, WIDTH] updated with observed `boxes` (cx, cy, w, h) [n, 4] and filter states `states`."""
    after = rows.copy()
    after[:, MOTION] = states
    after[:, OBSERVED] = boxes
    after[:, SCORE], after[:, SEEN_AT] = scores, now
    after[:, HITS] += 1
    aged = now - rows[:, NEXT_START_AT] >= _DIRECTION_OVER
    if aged.any():
        after[aged, START] = rows[aged, NEXT_START]
        after[aged, NEXT_START] = boxes[aged, :2]
        after[aged, NEXT_START_AT] = now
    return after


@dataclass(frozen=True, slots=True)
class Reach:
    """How far predictions reach, in seconds: for a lost object, and from the last analysed frame."""

    show_lost: float
    max_prediction: float


def seen(tracks: CameraTracks, detection: NDArray[np.int64], reach: Reach) -> Tracks:
    """Returns the tracks on the frame that `tracks` was updated with; `detection` comes from `lifecycle.step`."""
    lost_for = tracks.at - tracks.rows[:, SEEN_AT]
    return _shown(tracks, tracks.at, (detection >= 0) | (lost_for <= reach.show_lost), detection)


def predicted(tracks: CameraTracks, now: float, reach: Reach) -> Tracks | None:
    """Returns the tracks predicted for another frame, or None if it is too far in time from the analysed one."""
    if abs(now - tracks.at) > reach.max_prediction:
        return None
    seen_at = tracks.rows[:, SEEN_AT]
    return _shown(tracks, now, (seen_at >= tracks.at) | (now - seen_at <= reach.show_lost), None)


def _shown(tracks: CameraTracks, now: float, wanted: NDArray[np.bool_], detection: NDArray[np.int64] | None) -> Tracks:
    rows = tracks.rows
    boxes = from_centre_size(motion.predict(rows[:, MOTION], now - rows[:, SEEN_AT])).astype(np.float32)
    boxes = clip(boxes, *tracks.size)
    shown = wanted & (rows[:, ID] > 0) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    if not shown.all():
        rows, boxes = rows[shown], boxes[shown]
        detection = None if detection is None else detection[shown]
    return Tracks(
        boxes,
        rows[:, SCORE].astype(np.float32),
        rows[:, CLASS_ID].astype(np.int64),
        rows[:, ID].astype(np.int64),
        np.maximum(now - rows[:, BORN_AT], 0).astype(np.float32),
        rows[:, motion.VELOCITY][:, :2].astype(np.float32),
        np.full(len(rows), -1, np.int64) if detection is None else detection,
        tracks.labels,
    )
