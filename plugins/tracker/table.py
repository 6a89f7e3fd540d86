"""The tracks of one camera: one row of numbers per track, and the meaning of the columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
