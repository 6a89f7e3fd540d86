"""The tracks of one camera: a table with one row of numbers per track, and the results derived from it for a given
time."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from sightd.engines.geometry import clip, from_centre_size
from sightd.plugins.activity.scene import Transform, View
from sightd.plugins.api import IntArray, Tracks
from sightd.plugins.tracker import motion
from sightd.plugins.tracker.looks import Looks
from sightd.plugins.tracker.motion import Rows
from sightd.plugins.tracker.shapes import TrackShapes, with_shapes

MOTION = slice(0, motion.WIDTH)
OBSERVED = slice(20, 24)
"""Last observed box (cx, cy, w, h)."""
CENTRE, OBSERVED_SIZE = slice(20, 22), slice(22, 24)
HEIGHT = 23
START = slice(24, 26)
"""Observed centre from which the direction of movement is computed."""
NEXT_START, NEXT_START_AT = slice(26, 28), 28
"""Observed centre that becomes START once it is old enough, and its time."""
SEEN_AT, BORN_AT = 29, 30
"""SEEN_AT is the time of the last observation, or since then of the last frame with a carried detection."""
SCORE, CLASS_ID = 31, 32
ID = 33
"""Zero until the track is confirmed."""
HITS = 34
SCORE_SUM, SCORE_WEIGHT = 35, 36
"""Sum of the scores of late, 0 for each frame without a detection, and of their weights, which decay with time."""
ORIGIN = slice(37, 39)
"""Observed centre at birth."""
PROVEN = 39
"""1 once the object has moved or was seen so clearly that doubtful detections cannot hide it any more."""
VISIBLE = 40
"""1 if the track may be shown: confirmed, and no clutter (`lifecycle`)."""
BESIDE = 41
"""1 if the track began beside an object that was seen at the same time and may be the same (`lifecycle`)."""
CLASS_VOTES = 42
"""Lead of the class's votes over those of all others."""
LOOK = 43
"""Number under which `looks` holds how the object looks; zero if it was not embedded."""
WIDTH = 44
POINTS = (CENTRE, START, NEXT_START, ORIGIN)
"""Columns that hold points of the frame, besides the motion state."""

_DIRECTION_OVER = 0.15
"""Directions of movement span between one and two times this time (s); OC-SORT uses three frames."""
_LEAST_INTERVAL = 1e-3
"""Shortest time between frames (s) from which a speed of the camera is computed."""


@dataclass(frozen=True, slots=True, eq=False)
class CameraTracks:
    """The tracks of one camera after the frame at time `at`. Immutable; replaced as a whole. `interval` is the time in
    s between the previous frame and this one.

    `rows` is float64 [n, WIDTH], oldest track first; `size` is the frame's (width, height). The filter state of a track
    belongs to the time SEEN_AT; prediction computes from it and does not change it. All coordinates are
    those of the frame at `at`. `drift` is the camera's motion: the change [2, 3] of a point (x, y, 1) in px/s; None if
    it stands. `view` is what the frame looked like; None if images are not used. `shapes` are those of confirmed
    tracks. `looks` is how tracks look, None if they are not embedded, and `gone` float64 [g, WIDTH] those that have
    ended and may be found again by it.
    """

    at: float
    size: tuple[int, int]
    rows: Rows
    labels: tuple[str, ...]
    next_id: int
    interval: float = np.inf
    view: View | None = None
    drift: Transform | None = None
    shapes: TrackShapes | None = None
    looks: Looks | None = None
    gone: Rows = field(default_factory=lambda: np.zeros((0, WIDTH)))


def ended(tracks: CameraTracks) -> CameraTracks:
    """Returns the camera without tracks, as before its first frame; ids go on."""
    rows = np.zeros((0, WIDTH))
    return replace(tracks, at=-np.inf, interval=np.inf, rows=rows, view=None, drift=None, shapes=None, gone=rows)


def moved(tracks: CameraTracks, transform: Transform, now: float) -> CameraTracks:
    """Returns the tracks in the coordinates of the frame at `now`, to which the camera moved by `transform`."""
    drift = (transform - np.eye(2, 3)) / max(now - tracks.at, _LEAST_INTERVAL)
    rows, gone = _moved(tracks.rows, transform), _moved(tracks.gone, transform)
    return replace(tracks, rows=rows, gone=gone, drift=drift)


def _moved(before: Rows, transform: Transform) -> Rows:
    rows, turn = before.copy(), transform[:, :2]
    rows[:, MOTION] = motion.moved(rows[:, MOTION], transform)
    for point in POINTS:
        rows[:, point] = rows[:, point] @ turn.T + transform[:, 2]
    rows[:, OBSERVED_SIZE] *= np.sqrt(abs(np.linalg.det(turn)))
    return rows


def fresh(boxes: Rows, scores: Rows, class_ids: Rows, now: float) -> Rows:
    """Returns rows for tracks that start now with `boxes` (cx, cy, w, h) [n, 4]; not yet confirmed."""
    rows = np.zeros((len(boxes), WIDTH))
    rows[:, MOTION] = motion.begin(boxes)
    rows[:, OBSERVED] = boxes
    rows[:, START] = rows[:, NEXT_START] = rows[:, ORIGIN] = boxes[:, :2]
    rows[:, [NEXT_START_AT, SEEN_AT, BORN_AT]] = now
    rows[:, SCORE], rows[:, CLASS_ID], rows[:, HITS] = scores, class_ids, 1
    rows[:, SCORE_SUM] = rows[:, CLASS_VOTES] = scores
    rows[:, SCORE_WEIGHT] = 1
    return rows


def seen_again(rows: Rows, boxes: Rows, scores: Rows, class_ids: Rows, now: float) -> Rows:
    """Returns rows [n, WIDTH] updated with observed `boxes` (cx, cy, w, h) [n, 4], scores [n] and class ids [n]."""
    after = rows.copy()
    after[:, MOTION] = motion.observe(rows[:, MOTION], now - rows[:, SEEN_AT], boxes, scores)
    after[:, SCORE_SUM] += scores
    _vote(after, class_ids, scores)
    after[:, OBSERVED] = boxes
    after[:, SCORE], after[:, SEEN_AT] = scores, now
    after[:, HITS] += 1
    aged = now - rows[:, NEXT_START_AT] >= _DIRECTION_OVER
    if aged.any():
        after[aged, START] = rows[aged, NEXT_START]
        after[aged, NEXT_START] = boxes[aged, :2]
        after[aged, NEXT_START_AT] = now
    return after


def kept(rows: Rows, now: float) -> Rows:
    """Returns rows [n, WIDTH] of tracks of which the frame says nothing, because no model looked there: alive, without
    a hit or an observation, and with the mean score that they had."""
    after = rows.copy()
    after[:, MOTION] = motion.advance(rows[:, MOTION], now - rows[:, SEEN_AT])
    after[:, SEEN_AT] = now
    after[:, SCORE_WEIGHT] -= 1
    return after


def _vote(rows: Rows, class_ids: Rows, scores: Rows) -> None:
    """Counts the detections' classes, in place: the weighted majority vote of Boyer and Moore (1991), so that the class
    is that of more than half of all scores, if there is one."""
    rows[:, CLASS_VOTES] += np.where(rows[:, CLASS_ID] == class_ids, scores, -scores)
    outvoted = rows[:, CLASS_VOTES] < 0
    rows[outvoted, CLASS_ID] = class_ids[outvoted]
    np.abs(rows[:, CLASS_VOTES], out=rows[:, CLASS_VOTES])


@dataclass(frozen=True, slots=True)
class Reach:
    """How far predictions reach, in seconds: for a lost object, and from the last analysed frame."""

    show_lost: float
    max_prediction: float


def seen(tracks: CameraTracks, detection: IntArray, carried: IntArray, reach: Reach) -> Tracks:
    """Returns the tracks on the frame that `tracks` was updated with; `detection` and `carried` come from
    `lifecycle.step`."""
    lost_for = tracks.at - tracks.rows[:, SEEN_AT]
    return _shown(tracks, tracks.at, (detection >= 0) | (lost_for <= reach.show_lost), detection, carried)


def predicted(tracks: CameraTracks, now: float, reach: Reach) -> Tracks | None:
    """Returns the tracks predicted for another frame, or None if it is too far in time from the analysed one."""
    if abs(now - tracks.at) > reach.max_prediction:
        return None
    seen_at = tracks.rows[:, SEEN_AT]
    none = np.full(len(seen_at), -1, np.int64)
    return _shown(tracks, now, (seen_at >= tracks.at) | (now - seen_at <= reach.show_lost), none, none)


def _shown(
    tracks: CameraTracks, now: float, wanted: NDArray[np.bool_], detection: IntArray, carried: IntArray
) -> Tracks:
    rows = tracks.rows
    centred = motion.predict(rows[:, MOTION], now - rows[:, SEEN_AT])
    centred[:, :2] += _carried_along(centred[:, :2], tracks.drift) * (now - tracks.at)
    boxes = clip(from_centre_size(centred).astype(np.float32), *tracks.size)
    shown = wanted & (rows[:, VISIBLE] > 0) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    if not shown.all():
        rows, boxes, detection, carried = rows[shown], boxes[shown], detection[shown], carried[shown]
    shown_tracks = Tracks(
        boxes,
        rows[:, SCORE].astype(np.float32),
        rows[:, CLASS_ID].astype(np.int64),
        rows[:, ID].astype(np.int64),
        np.maximum(now - rows[:, BORN_AT], 0).astype(np.float32),
        (rows[:, 4:6] + _carried_along(rows[:, :2], tracks.drift)).astype(np.float32),
        detection,
        tracks.labels,
        carried=carried,
    )
    return with_shapes(shown_tracks, tracks.shapes)


def _carried_along(points: Rows, drift: Transform | None) -> Rows:
    """Returns the velocities [n, 2] in px/s that the camera's motion adds at `points` [n, 2]."""
    return np.zeros_like(points) if drift is None else points @ drift[:, :2].T + drift[:, 2]
