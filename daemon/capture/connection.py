"""The state machine of a feed: what each event means, when to try again. Pure: no I/O, no clock, no chance inside."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sightd.daemon.capture.errors import Reason

_MOST_PATIENCE = 3
"""The limit of an attempt to open a source grows up to so many times the first one."""


class State(StrEnum):
    """Where a feed stands. The values are shown to people and are labels of a metric."""

    CONNECTING = "connecting"
    LIVE = "live"
    WAITING = "waiting"
    ENDED = "ended"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Policy:
    """How a feed comes back. All times in seconds.

    `first`, `longest`: shortest and longest wait. `steady`: how long frames must have come for the camera to count as
    well again; before that the waits go on growing, so that a camera that flaps is not hammered. `timeout`: silence
    that counts as a fault (None: never). `blind`: how long data may come without a picture; cameras with rare key
    frames need some of it after each start. `loop`: a recording is begun again at its end. `opening`: limit of the
    first attempt to open the source (None: there is none).
    """

    first: float = 0.5
    longest: float = 8.0
    steady: float = 5.0
    timeout: float | None = 3.0
    blind: float = 10.0
    loop: bool = True
    opening: float | None = None

    @property
    def longest_opening(self) -> float:
        """Seconds that an attempt to open the source may take; 0 if there is no limit."""
        return (self.opening or 0.0) * _MOST_PATIENCE


class Connection:
    """One feed's way through connecting, live and waiting until it is stopped or a recording has ended.

    The caller reports what happens with the time at which it did (`now`, s, never falling) and obeys `next_attempt`.
    """

    def __init__(self, policy: Policy, now: float) -> None:
        self.policy = policy
        self.state = State.CONNECTING
        self.since = now
        self.next_attempt: float | None = now
        """When to open the source (again); None while it is open and once all is over."""
        self.attempts = 0
        """Failed attempts in a row: those since frames last came steadily."""
        self._recorded = False
        self._interval = 0.0
        self._opened_at: float | None = None
        self._heard_at: float | None = None
        self._first_frame_at: float | None = None
        self._last_frame_at: float | None = None

    @property
    def opening_limit(self) -> float | None:
        """Seconds that the attempt under way may take: after each failure more, up to three times the first limit."""
        opening = self.policy.opening
        return None if opening is None else opening * min(self.attempts + 1, _MOST_PATIENCE)

    @property
    def over(self) -> bool:
        """Nothing more will happen: stopped, or a recording at its end."""
        return self.state in (State.ENDED, State.STOPPED)

    def opening(self, now: float) -> None:
        """An attempt begins. A recording that is only begun again stays live."""
        self._require(self.next_attempt is not None, "opening")
        if self.state is not State.LIVE:
            self._enter(State.CONNECTING, now)
        self.next_attempt = None
        self._opened_at = self._heard_at = self._first_frame_at = self._last_frame_at = None

    def opened(self, now: float, *, recorded: bool, interval: float = 0.0) -> None:
        """The source is open. `recorded`: it has an end of its own, which is then no fault. `interval`: s between two
        pictures that are in order for this source."""
        self._require(not self.over and self.next_attempt is None, "opened")
        self._recorded, self._interval = recorded, interval
        self._opened_at = now

    def frame(self, now: float) -> None:
        """A frame came."""
        self._require(self._opened_at is not None, "frame")
        if self._first_frame_at is None:
            self._first_frame_at = now
            self._enter(State.LIVE, now)
        self._last_frame_at = now
        if now - self._first_frame_at >= self.policy.steady:
            self.attempts = 0

    def packet(self, now: float) -> None:
        """Data came, be there a picture in them or not."""
        self._require(self._opened_at is not None, "packet")
        self._heard_at = now

    def lost(self, now: float) -> Reason | None:
        """Why the camera must be taken for lost: nothing came for too long, or nothing that gives a picture.

        To be asked before `packet` and `frame`: what wakes a reader after too long a silence is too old to be shown.
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
        """The source came to its end. None where that is in order: a recording's end; else the fault that it is.

        Frames must have come: a recording without one would be opened again and again without a pause.
        """
        if not self._recorded:
            return self.failed(Reason.EOF, now, chance)
        if self._first_frame_at is None:
            return self.failed(Reason.NO_VIDEO, now, chance)
        self._opened_at = None
        if self.policy.loop:
            self.next_attempt, self.attempts = now, 0
        else:
            self._enter(State.ENDED, now)
        return None

    def failed(self, reason: Reason, now: float, chance: float) -> Reason:
        """A fault. The next attempt is set: exponential back-off, shortened by up to a quarter by `chance` (0-1) so
        that many cameras behind one switch do not all come back at the same moment."""
        self._require(not self.over and self.next_attempt is None, "failed")
        wait = min(self.policy.longest, self.policy.first * 2.0 ** min(self.attempts, 32))
        self.attempts += 1
        self.next_attempt = now + wait * (1 - chance / 4)
        self._opened_at = None
        self._enter(State.WAITING, now)
        return reason

    def stop(self, now: float) -> None:
        """Nobody wants the feed any more. Twice is safe."""
        self.next_attempt = self._opened_at = None
        if not self.over:
            self._enter(State.STOPPED, now)

    def _enter(self, state: State, now: float) -> None:
        if state is not self.state:
            self.state, self.since = state, now

    def _require(self, legal: bool, event: str) -> None:
        if not legal:
            raise RuntimeError(
                f"a feed that is {self.state} cannot take the event {event!r}; this is a defect of sightd"
            )
