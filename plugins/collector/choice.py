"""Decides which of a camera's frames are worth labelling, within a budget. Pure: files and clocks are the caller's."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.engines.geometry import iou
from sightd.plugins.api import BoolArray, Detections, Image

_THUMBNAIL = (32, 18)
_KNOWN = 64
"""Thumbnails of collected frames that a new one is compared with."""
_LEAST_NEW = 0.08
"""Least mean difference of thumbnails, of 0-1, at which a frame looks new."""
_DOUBTFUL = (0.3, 0.5)
"""Scores at about which objects begin to be drawn."""
_CLEAR, _FAINT, _SAME = 0.5, 0.25, 0.4
_HOUR = 3600.0


class Reason(StrEnum):
    """A detection is doubtful; an object that is clear on the frames before and after was not found; or the frame looks
    unlike those collected before."""

    UNCERTAIN = "uncertain"
    MISSED = "missed"
    NEW = "new"


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A frame that may be collected: image BGR, time of capture in s (monotonic), time since the epoch, number."""

    image: Image
    captured_at: float
    wall_time: float
    seq: int
    found: Detections


class CameraChoice:
    """The choice for one camera. A frame is judged when the next one has come. One thread at a time."""

    def __init__(self, per_hour: int, gap: float) -> None:
        self._per_hour, self._gap = per_hour, gap
        self._before: Detections | None = None
        self._held: Sample | None = None
        self._taken: deque[tuple[float, Reason]] = deque()
        self._known: deque[NDArray[np.float32]] = deque(maxlen=_KNOWN)

    def is_due(self, now: float) -> bool:
        """Returns whether the budget allows another frame: only then are images needed."""
        while self._taken and now - self._taken[0][0] >= _HOUR:
            self._taken.popleft()
        rested = not self._taken or now - self._taken[-1][0] >= self._gap
        return rested and len(self._taken) < self._per_hour

    def judge(self, sample: Sample) -> tuple[Sample, Reason] | None:
        """Takes the newest frame, and returns the one before it if that should be collected, with the reason."""
        held, before = self._held, self._before
        self._before, self._held = (held.found if held else None), sample
        if held is None or not self.is_due(held.captured_at):
            return None
        small = thumbnail(held.image)
        reason = self._reason(before, held.found, sample.found, small)
        if reason is None:
            return None
        self._taken.append((held.captured_at, reason))
        self._known.append(small)
        return held, reason

    def reset(self) -> None:
        """Releases the held frame."""
        self._held = self._before = None

    def _reason(
        self, before: Detections | None, here: Detections, after: Detections, small: NDArray[np.float32]
    ) -> Reason | None:
        if before is not None and self._allows(Reason.MISSED) and was_missed(before, here, after):
            return Reason.MISSED
        if self._allows(Reason.UNCERTAIN) and is_uncertain(here):
            return Reason.UNCERTAIN
        if self._allows(Reason.NEW) and all(np.abs(small - one).mean() >= _LEAST_NEW for one in self._known):
            return Reason.NEW
        return None

    def _allows(self, reason: Reason) -> bool:
        """Each reason may take half of the budget, so that one kind of frame does not crowd out the others."""
        return sum(one is reason for _, one in self._taken) < max(1, self._per_hour // 2)


def thumbnail(image: Image) -> NDArray[np.float32]:
    """Returns a small grey version of a BGR image, 0-1 [18, 32]."""
    grey = cv2.cvtColor(cv2.resize(image, _THUMBNAIL, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    return np.asarray(grey, np.float32) / np.float32(255)


def is_uncertain(found: Detections) -> bool:
    low, high = _DOUBTFUL
    return bool(((found.scores >= low) & (found.scores < high)).any())


def was_missed(before: Detections, here: Detections, after: Detections) -> bool:
    """Returns whether an object that is clear before and after, in about the same place, is not even faint here."""
    stays = _matches(before, after, _CLEAR)
    return bool((stays & ~_matches(before, here, _FAINT)).any())


def _matches(one: Detections, other: Detections, least: float) -> BoolArray:
    """Returns for each clear box of `one` whether `other` has one of its class there, with at least that score."""
    mine, theirs = one.select(one.scores >= _CLEAR), other.select(other.scores >= least)
    overlap = iou(mine.boxes, theirs.boxes)
    overlap[mine.class_ids[:, None] != theirs.class_ids] = 0
    found: BoolArray = overlap.max(axis=1, initial=0) >= _SAME
    return found
