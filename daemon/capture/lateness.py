"""How late a live stream's frames arrive, measured against the stream's own clock. Pure: no clock inside."""

from __future__ import annotations

import itertools
import statistics
from collections import deque

_MAX_DRIFT = 0.02
"""Seconds per second by which a camera's clock may run fast or slow; real ones stay far below."""
_BUCKET = 5.0
"""Seconds over which the earliest frame is taken as a sample of the camera's clock."""
_SAMPLES = 24
_FEWEST_SAMPLES = 4
_SAMPLE_AGE = 0.5
"""Oldest sample, in s, that teaches the clock's rate: an older one is a delay, not a rate."""
_JUMP = 0.5
"""Seconds by which timestamps may go back by jitter, or frames be early; beyond, the timestamps jumped."""

_LATE_AT_LEAST = 0.5
"""Seconds for which frames must be late, so that a hiccup that is over at once is not reported."""
_ON_TIME_AT_LEAST = 1.0
_SETTLED = 60.0
"""Seconds on time after which the patience with a late stream is back at its shortest."""
_PATIENCE, _LONGEST_PATIENCE = 10.0, 300.0
"""Seconds that a stream may stay late before it is opened again, doubled each time up to the second."""
_CATCHING_UP = 4.0
"""Stream time per real time from which a backlog is being drained: its frames are skipped."""
_SHOWN_EVERY = 0.5
"""Seconds between the frames of a backlog that are shown nevertheless."""


class StreamAge:
    """Measures how old each frame of a live stream is when it arrives.

    The smallest difference between arrival and timestamp counts as no age. A camera's clock that runs fast or slow
    moves that difference steadily, so the rate of the earliest frames is learned, up to 2 %; a delay that grows faster
    is a backlog and teaches nothing. A network that is too slow by less than 2 % cannot be told from a slow clock.
    """

    def __init__(self) -> None:
        self._last: tuple[float, float] | None = None
        self._correction = 0.0
        self._base, self._base_at, self._rate = 0.0, 0.0, 0.0
        self._earliest: tuple[float, float, float] | None = None
        self._bucket_began = 0.0
        self._samples: deque[tuple[float, float]] = deque(maxlen=_SAMPLES)

    def measure(self, pts: float, arrival: float, began: float | None = None) -> float:
        """The age in s of the frame with timestamp `pts` (s, the stream's own time) at `arrival` (monotonic s).

        `began` is when the first frame began to arrive: on a slow network that is when it was as good as new.
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
        """Whether the timestamps themselves jumped, rather than frames being late or early."""
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
    """Decides, frame by frame, whether a live stream is late, which frames to skip and when to open it again.

    Used by one thread. `late_after` is in s; 0 means never.
    """

    def __init__(self, late_after: float) -> None:
        self._late_after = late_after
        self.age: float | None = None
        """Age in s of the newest frame when it arrived; None before the first one with a timestamp."""
        self.late = False
        self.since = 0.0
        """When it became late or on time, monotonic s."""
        self._patience = _PATIENCE
        self.restart()

    def restart(self) -> None:
        """The stream was opened again. It stays late until its frames prove otherwise."""
        self._stream = StreamAge()
        self._last: tuple[float, float] | None = None
        self._shown_at: float | None = None
        self._changing_since: float | None = None
        self._late_since: float | None = None

    def frame(self, pts: float | None, arrival: float, began: float | None = None) -> bool:
        """Takes a frame in, see `StreamAge.measure`.

        False if it belongs to a backlog that is being drained and should be skipped.
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
        """Whether the stream has been late for so long that only opening it again makes it fresh; asked per frame."""
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
