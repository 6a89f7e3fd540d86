"""Measures how late a live stream's frames arrive, against the stream's own clock. Pure: callers pass the time."""

from __future__ import annotations

import itertools
import statistics
from collections import deque

_MAX_DRIFT = 0.02
"""Seconds per second by which a camera's clock may run fast or slow; real clocks stay far below."""
_BUCKET = 5.0
"""Seconds per sample of the camera's clock; the frame with the smallest age is the sample."""
_SAMPLES = 24
_FEWEST_SAMPLES = 4
_SAMPLE_AGE = 0.5
"""Greatest age, in s, of a sample from which the clock's drift is learned: a greater one is a delay, not drift."""
_JUMP = 0.5
"""Seconds by which timestamps may go back because of jitter, or frames may be early; beyond that, the timestamps
jumped."""

_LATE_AT_LEAST = 0.5
"""Seconds for which frames must be late before it counts, so that a short hiccup is not reported."""
_ON_TIME_AT_LEAST = 1.0
_SETTLED = 60.0
"""Seconds on time after which the allowance for a late stream is back at its minimum."""
_PATIENCE, _LONGEST_PATIENCE = 10.0, 300.0
"""Seconds that a stream may stay late before it is reopened; doubled each time up to the second value."""
_CATCHING_UP = 4.0
"""Ratio of stream time to real time above which a backlog is being drained: its frames are skipped."""
_SHOWN_EVERY = 0.5
"""Seconds between those frames of a backlog that are shown nevertheless."""


class StreamAge:
    """Measures how old each frame of a live stream is when it arrives.

    The smallest difference between arrival and timestamp counts as age zero. A camera clock that runs fast or slow
    shifts that difference steadily, so the drift of the earliest frames is learned, up to 2 %; a delay that grows
    faster is a backlog and is not learned. A network that is too slow by less than 2 % cannot be distinguished from a
    slow clock.
    """

    def __init__(self) -> None:
        self._last: tuple[float, float] | None = None
        self._correction = 0.0
        self._base, self._base_at, self._rate = 0.0, 0.0, 0.0
        self._earliest: tuple[float, float, float] | None = None
        self._bucket_began = 0.0
        self._samples: deque[tuple[float, float]] = deque(maxlen=_SAMPLES)

    def measure(self, pts: float, arrival: float, began: float | None = None) -> float:
        """Returns the age in s of the frame with timestamp `pts` (s of the stream's own clock) at `arrival` (monotonic
        s).

        `began` is when the first frame began to arrive: on a slow network it was still fresh at that time.
        """
        if self._last is None:
            self._base = (arrival if began is None else began) - pts
            self._base_at = self._bucket_began = arrival
        elif self._jumped(pts, arrival, *self._last):
            last_pts, last_arrival = self._last
            self._correction += (arrival - last_arrival) - (pts - last_pts)  # the age stays as it was
        self._last = pts, arrival
        offset = arrival - pts - self._correction
        age = offset - self._baseline(arrival)
        if age < 0:
            self._base, self._base_at, age = offset, arrival, 0.0
        self._learn(arrival, offset, age)
        return age

    def _jumped(self, pts: float, arrival: float, last_pts: float, last_arrival: float) -> bool:
        """Returns whether the timestamps themselves jumped, as opposed to frames being late or early."""
        offset = arrival - pts - self._correction
        return pts - last_pts < -_JUMP or offset < self._baseline(arrival) - _JUMP - _MAX_DRIFT * (
            arrival - last_arrival
        )

    def _baseline(self, now: float) -> float:
        return self._base + self._rate * (now - self._base_at)

    def _learn(self, now: float, offset: float, age: float) -> None:
        if self._earliest is None or age < self._earliest[2]:
            self._earliest = now, offset, age
        if now - self._bucket_began < _BUCKET:
            return
        at, earliest, youngest = self._earliest
        self._earliest, self._bucket_began = None, now
        if youngest > _SAMPLE_AGE:
            return
        self._samples.append((at, earliest))
        if len(self._samples) >= _FEWEST_SAMPLES:
            rate = statistics.median((b - a) / (t - s) for (s, a), (t, b) in itertools.combinations(self._samples, 2))
            if abs(rate) <= _MAX_DRIFT:
                self._rate, self._base_at = rate, now
                self._base = min(a + rate * (now - s) for s, a in self._samples)


class Lateness:
    """Decides for each frame whether a live stream is late, which frames to skip and when to reopen it.

    Used by one thread. `late_after` is in s; 0 means never.
    """

    def __init__(self, late_after: float) -> None:
        self._late_after = late_after
        self.age: float | None = None
        """Age in s of the newest frame when it arrived; None before the first one with a timestamp."""
        self.late = False
        self.since = 0.0
        """When it last became late or on time, monotonic s."""
        self._patience = _PATIENCE
        self.restart()

    def restart(self) -> None:
        """Restarts the measurement for a reopened stream. A late stream stays late until its frames prove otherwise."""
        self._stream = StreamAge()
        self._last: tuple[float, float] | None = None
        self._shown_at: float | None = None
        self._changing_since: float | None = None
        self._late_since: float | None = None

    def frame(self, pts: float | None, arrival: float, began: float | None = None) -> bool:
        """Processes a frame; for the arguments see `StreamAge.measure`.

        Returns False if it belongs to a backlog that is being drained and should be skipped.
        """
        if pts is None:
            return True
        self.age = age = self._stream.measure(pts, arrival, began)
        catching_up = self._last is not None and pts - self._last[0] > _CATCHING_UP * (arrival - self._last[1])
        self._last = pts, arrival
        self._judge(age, arrival)
        old = 0 < self._late_after < age
        if old and catching_up and self._shown_at is not None and arrival - self._shown_at < _SHOWN_EVERY:
            return False
        self._shown_at = arrival
        return True

    def hopeless(self, now: float) -> bool:
        """Returns whether the stream has been late for so long that only reopening it helps. Call it once per frame."""
        if self._late_since is None or now - self._late_since < self._patience:
            return False
        self._patience = min(2 * self._patience, _LONGEST_PATIENCE)
        return True

    def _judge(self, age: float, now: float) -> None:
        if not self.late and now - self.since > _SETTLED:
            self._patience = _PATIENCE
        if self.late:
            changing, at_least = age < self._late_after / 2, _ON_TIME_AT_LEAST
            self._late_since = now if self._late_since is None else self._late_since
        else:
            changing, at_least = 0 < self._late_after < age, _LATE_AT_LEAST
            self._late_since = None
        if not changing:
            self._changing_since = None
            return
        self._changing_since = now if self._changing_since is None else self._changing_since
        if now - self._changing_since >= at_least:
            self.late, self.since, self._changing_since = not self.late, now, None
