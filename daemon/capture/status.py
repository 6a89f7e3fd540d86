"""Feed statistics: what a feed counts, and the snapshot that others read."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from sightd.daemon.capture.errors import Reason
from sightd.daemon.capture.reconnect import FeedState


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """A feed at one moment. `since` and `last_frame_at` are monotonic s, `last_frame_wall` is s since the epoch.

    `fps` is the recent frame rate. `frames` counts intact frames (including a backlog's skipped ones), `damaged` frames
    that were held back and packets that could not be decoded. `faults` counts how often the camera was lost or could
    not be opened, by reason. `last_error` contains no credentials. `age` is how old the newest frame was when it
    arrived, in s by the stream's own clock (None: not measured); `late_since` is monotonic s, None while the stream is
    on time.
    """

    state: FeedState
    since: float
    last_frame_at: float | None
    last_frame_wall: float | None
    size: tuple[int, int] | None
    fps: float
    frames: int
    damaged: int
    faults: Mapping[Reason, int]
    last_error: str | None
    age: float | None = None
    late_since: float | None = None


class FrameRate:
    """Frames per second: a frame count whose weights decay with a time constant of `memory` s.

    It is not a mean of intervals, because a burst after a pause would make such a mean far too high.
    """

    def __init__(self, memory: float = 2.0) -> None:
        self._memory = memory
        self._began: float | None = None
        self._last = 0.0
        self._weight = 0.0
        self._gap = 0.0
        """The last interval, if it was too long to be counted; it gives the rate of a slow camera."""

    def add(self, now: float) -> None:
        """Counts a frame at `now`, monotonic s."""
        if self._began is None or now - self._last > self._memory:
            self._gap = 0.0 if self._began is None else now - self._last
            self._began, self._weight = now, 0.0
        else:
            self._weight = self._weight * self._faded(now - self._last) + 1.0
        self._last = now

    def at(self, now: float) -> float:
        """Returns the rate at `now`; 0 before the second frame, and decaying to 0 if frames stop."""
        if self._began is None or now <= self._began:
            return 0.0
        if self._weight == 0.0 and self._gap:
            return 1 / self._gap if now - self._last < 2 * self._gap else 0.0
        counted = self._weight * self._faded(now - self._last)
        return counted / (self._memory * (1 - self._faded(now - self._began)))

    def _faded(self, seconds: float) -> float:
        return math.exp(-seconds / self._memory)


class FeedStats:
    """Feed statistics that the feed's thread writes and any thread reads as a `FeedStatus`."""

    def __init__(self, now: float) -> None:
        self._lock = threading.Lock()
        self._rate = FrameRate()
        self._state, self._since = FeedState.CONNECTING, now
        self._last_frame: tuple[float, float] | None = None
        self._size: tuple[int, int] | None = None
        self._frames = self._damaged = 0
        self._faults: Counter[Reason] = Counter()
        self._last_error: str | None = None
        self._age: float | None = None
        self._late_since: float | None = None

    def enter(self, state: FeedState, since: float) -> bool:
        """Sets the state and returns whether it changed."""
        with self._lock:
            changed = state is not self._state
            self._state, self._since = state, since
            return changed

    def frame(self, captured_at: float, wall_time: float, size: tuple[int, int]) -> bool:
        """Counts a frame and returns whether the frame size changed."""
        with self._lock:
            self._frames += 1
            self._rate.add(captured_at)
            self._last_frame = (captured_at, wall_time)
            resized = self._size is not None and self._size != size
            self._size = size
            return resized

    def damage(self) -> None:
        with self._lock:
            self._damaged += 1

    def timeliness(self, age: float | None, late_since: float | None) -> None:
        with self._lock:
            self._age, self._late_since = age, late_since

    def fault(self, reason: Reason, message: str) -> None:
        with self._lock:
            self._faults[reason] += 1
            self._last_error = message

    def snapshot(self, now: float) -> FeedStatus:
        with self._lock:
            at, wall = self._last_frame or (None, None)
            return FeedStatus(
                state=self._state,
                since=self._since,
                last_frame_at=at,
                last_frame_wall=wall,
                size=self._size,
                fps=self._rate.at(now),
                frames=self._frames,
                damaged=self._damaged,
                faults=dict(self._faults),
                last_error=self._last_error,
                age=self._age,
                late_since=self._late_since,
            )
