"""Decides which of a camera's frames are worth labelling, within a budget. Pure: files and clocks are the caller's."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightd.plugins.api import Detections, Image
from sightd.plugins.images.worth_labelling import Objects, Reason, difference, thumbnail, uncertainty, was_missed

_KNOWN = 64
"""Thumbnails of collected frames that a new one is compared with."""
_LEAST_NEW = 0.08
"""Least mean difference of thumbnails, of 0-1, at which a frame looks new."""
_DOUBTFUL = 0.6
"""Least uncertainty: scores from 0.3 to 0.5. A film's frames are compared with one another instead."""
_HOUR = 3600.0


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
        if before is not None and self._allows(Reason.MISSED) and _was_missed(before, here, after):
            return Reason.MISSED
        if self._allows(Reason.UNCERTAIN) and uncertainty(_found(here).scores) >= _DOUBTFUL:
            return Reason.UNCERTAIN
        if self._allows(Reason.NEW) and all(difference(small, one) >= _LEAST_NEW for one in self._known):
            return Reason.NEW
        return None

    def _allows(self, reason: Reason) -> bool:
        """Each reason may take half of the budget, so that one kind of frame does not crowd out the others."""
        return sum(one is reason for _, one in self._taken) < max(1, self._per_hour // 2)


def _was_missed(before: Detections, here: Detections, after: Detections) -> bool:
    """Returns whether an object that was found before and after was not here. If it is carried, the model did not
    look."""
    return was_missed(_found(before), _objects(here), _found(after))


def _found(detections: Detections) -> Objects:
    """Returns what was found on the frame itself, without what is carried to it."""
    return _objects(detections.select(~detections.carried))


def _objects(detections: Detections) -> Objects:
    return Objects(detections.boxes, detections.scores, detections.class_ids)
