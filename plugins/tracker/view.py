"""Turns a camera's tracks into results for a given time: visible tracks, and recently lost ones as predicted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightd.engines.boxes import from_centre_size
from sightd.plugins.tracker import motion
from sightd.plugins.tracker.table import BORN_AT, CLASS_ID, ID, MOTION, SCORE, SEEN_AT, CameraTracks
from sightd.plugins.types import Tracks


@dataclass(frozen=True, slots=True)
class Reach:
    """How far predictions reach, in seconds: for a lost object, and from the last analysed frame."""

    show_lost: float
    max_carry: float


def seen(tracks: CameraTracks, detection: NDArray[np.int64], reach: Reach) -> Tracks:
    """Returns the tracks on the frame that `tracks` was updated with; `detection` comes from `lifecycle.step`."""
    lost_for = tracks.at - tracks.rows[:, SEEN_AT]
    return _shown(tracks, tracks.at, (detection >= 0) | (lost_for <= reach.show_lost), detection)


def carried(tracks: CameraTracks, now: float, reach: Reach) -> Tracks | None:
    """Returns the tracks predicted for another frame, or None if it is too far in time from the analysed one."""
    if abs(now - tracks.at) > reach.max_carry:
        return None
    seen_at = tracks.rows[:, SEEN_AT]
    return _shown(tracks, now, (seen_at >= tracks.at) | (now - seen_at <= reach.show_lost), None)


def _shown(tracks: CameraTracks, now: float, wanted: NDArray[np.bool_], detection: NDArray[np.int64] | None) -> Tracks:
    rows = tracks.rows
    boxes = from_centre_size(motion.predict(rows[:, MOTION], now - rows[:, SEEN_AT])).astype(np.float32)
    width, height = tracks.size
    np.clip(boxes, 0, np.array((width, height, width, height), np.float32), out=boxes)
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
