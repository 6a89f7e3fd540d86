"""When a feed retries, and which of its faults are logged. Pure: no I/O, clock or randomness inside."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sightd.daemon.capture.errors import Reason

_MOST_PATIENCE = 3
"""The time limit for opening a source grows up to this multiple of the first limit."""


class FeedState(StrEnum):
    """State of a feed. The values are shown to people and are labels of a metric."""

    CONNECTING = "connecting"
    LIVE = "live"
    WAITING = "waiting"
    ENDED = "ended"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class ReconnectPolicy:
    """Reconnect policy of a feed. All times in seconds.

    `initial_delay`, `max_delay`: shortest and longest retry delay. `steady`: how long frames must keep arriving before
    the retry delay is reset; until then it keeps growing, so that a flapping camera is not hammered. `timeout`: silence
    that counts as a fault (None: never). `blind`: how long data may arrive without a frame; cameras with rare key
    frames need some of it after each start. `loop`: whether a recording restarts at its end. `opening`: limit of the
    first attempt to open the source (None: no limit).
    """

    initial_delay: float = 0.5
    max_delay: float = 8.0
    steady: float = 5.0
    timeout: float | None = 3.0
    blind: float = 10.0
    loop: bool = True
    opening: float | None = None

    @property
    def longest_opening(self) -> float:
        """Most seconds that any attempt to open the source may take; 0 if there is no limit."""
        return (self.opening or 0.0) * _MOST_PATIENCE


class ReconnectState:
    """Tracks one feed through connecting, live and waiting until it is stopped or a recording has ended.

    The caller reports each event with its time (`now`, s, never decreasing) and obeys `next_attempt`.
    """

    def __init__(self, policy: ReconnectPolicy, now: float) -> None:
        self.policy = policy
        self.state = FeedState.CONNECTING
        self.since = now
        self.next_attempt: float | None = now
        """When to open the source (again); None from the start of an attempt until it ends, and once the feed is
        over."""
        self.attempts = 0
        """Consecutive failed attempts, counted since frames last arrived steadily."""
        self._recorded = False
        self._interval = 0.0
        self._opened_at: float | None = None
        self._heard_at: float | None = None
        self._first_frame_at: float | None = None
        self._last_frame_at: float | None = None

    @property
    def opening_limit(self) -> float | None:
        """Seconds that the current attempt may take: more after each failure, up to three times the first limit."""
        opening = self.policy.opening
        return None if opening is None else opening * min(self.attempts + 1, _MOST_PATIENCE)

    @property
    def over(self) -> bool:
        """Whether the feed was stopped or a recording has ended, so that nothing more will happen."""
        return self.state in (FeedState.ENDED, FeedState.STOPPED)

    def opening(self, now: float) -> None:
        """Starts an attempt. A feed that only restarts its recording stays live."""
        self._require(self.next_attempt is not None, "opening")
        if self.state is not FeedState.LIVE:
            self._enter(FeedState.CONNECTING, now)
        self.next_attempt = None
        self._opened_at = self._heard_at = self._first_frame_at = self._last_frame_at = None

    def opened(self, now: float, *, recorded: bool, interval: float = 0.0) -> None:
        """Records that the source is open. `recorded`: it has an end of its own, which is not a fault. `interval`:
        seconds between two frames that are normal for this source, added to the timeouts."""
        self._require(not self.over and self.next_attempt is None, "opened")
        self._recorded, self._interval = recorded, interval
        self._opened_at = now

    def frame(self, now: float) -> None:
        """Records that a frame arrived."""
        self._require(self._opened_at is not None, "frame")
        if self._first_frame_at is None:
            self._first_frame_at = now
            self._enter(FeedState.LIVE, now)
        self._last_frame_at = now
        if now - self._first_frame_at >= self.policy.steady:
            self.attempts = 0

    def packet(self, now: float) -> None:
        """Records that data arrived, with or without a frame in it."""
        self._require(self._opened_at is not None, "packet")
        self._heard_at = now

    def lost(self, now: float) -> Reason | None:
        """Returns why the camera must be considered lost: no data, or no frame, for too long. None if it is not lost.

        Call it before `packet` and `frame`: data that wakes a reader after too long a silence is too old to be shown.
        """
        if self._opened_at is None or self._recorded or self.policy.timeout is None:
            return None
        if now - max(self._opened_at, self._heard_at or 0.0) > self.policy.timeout + self._interval:
            return Reason.TIMEOUT
        blind = max(self.policy.blind, self.policy.timeout) + self._interval
        if now - max(self._opened_at, self._last_frame_at or 0.0) > blind:
            return Reason.DECODE
        return None

    def finished(self, now: float, chance: float) -> Reason | None:
        """Handles the end of the source. Returns None if that is expected (a recording's end), otherwise the fault.

        A recording must have had a frame: without one it would be reopened again and again without a pause.
        """
        if not self._recorded:
            return self.failed(Reason.EOF, now, chance)
        if self._first_frame_at is None:
            return self.failed(Reason.NO_VIDEO, now, chance)
        self._opened_at = None
        if self.policy.loop:
            self.next_attempt, self.attempts = now, 0
        else:
            self._enter(FeedState.ENDED, now)
        return None

    def failed(self, reason: Reason, now: float, chance: float) -> Reason:
        """Records a fault and schedules the next attempt: exponential backoff, shortened by up to a quarter by `chance`
        (0-1) so that many cameras behind one switch do not reconnect at the same moment. Returns `reason`."""
        self._require(not self.over and self.next_attempt is None, "failed")
        wait = min(self.policy.max_delay, self.policy.initial_delay * 2.0 ** min(self.attempts, 32))
        self.attempts += 1
        self.next_attempt = now + wait * (1 - chance / 4)
        self._opened_at = None
        self._enter(FeedState.WAITING, now)
        return reason

    def stop(self, now: float) -> None:
        """Stops the feed for good. Idempotent."""
        self.next_attempt = self._opened_at = None
        if not self.over:
            self._enter(FeedState.STOPPED, now)

    def _enter(self, state: FeedState, now: float) -> None:
        if state is not self.state:
            self.state, self.since = state, now

    def _require(self, legal: bool, event: str) -> None:
        if not legal:
            raise RuntimeError(
                f"a feed in state {self.state} cannot handle the event {event!r}; this is a bug in sightd"
            )


_AGAIN = (60.0, 600.0, 3600.0)
"""Seconds after the first fault of a series at which it is logged again; after that, once an hour."""


class FaultThrottle:
    """Log throttle for one camera's faults. A series lasts from the first fault until frames have arrived steadily for
    a while."""

    def __init__(self) -> None:
        self._began = 0.0
        self._next = 0.0
        self._logged: set[Reason] = set()

    def worth_logging(self, reason: Reason, attempts: int, now: float) -> bool:
        """Returns whether to log a fault at `now`, monotonic s: each reason once per interval, and the intervals grow.

        `attempts` counts the failed attempts of the series, including this one.
        """
        if attempts <= 1:
            self._began, self._logged = now, set()
            self._next = now + _AGAIN[0]
        elif now >= self._next:
            self._logged = set()
            self._next = self._began + _following(now - self._began)
        elif reason in self._logged:
            return False
        self._logged.add(reason)
        return True

    def since(self, now: float) -> float:
        """Returns the seconds since the series began."""
        return now - self._began


def _following(elapsed: float) -> float:
    hour = _AGAIN[-1]
    return next((at for at in _AGAIN if at > elapsed), (elapsed // hour + 1) * hour)


def in_words(seconds: float) -> str:
    """Formats a duration for people: "40 s", "10 min", "3 h"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.0f} h"
