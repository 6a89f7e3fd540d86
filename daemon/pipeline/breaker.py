"""A circuit breaker: disables a faulty plug-in and retries it later. Pure: the clock is passed in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class BreakerState(StrEnum):
    """Closed: calls are made. Open: no calls are made. Half-open: one trial call is in progress."""

    CLOSED = "closed"
    HALF_OPEN = "half-open"
    OPEN = "open"


@dataclass(slots=True)
class Breaker:
    """Opens after `threshold` consecutive faults; after `cooldown` seconds it lets one trial call through.

    A failed trial doubles the wait, up to `longest` seconds; a success closes the breaker and resets the wait. See M.
    Nygard, "Release It!", stability pattern Circuit Breaker. Not thread-safe: the owner holds a lock.
    """

    threshold: int = 3
    cooldown: float = 5.0
    longest: float = 300.0
    faults_in_a_row: int = 0
    state: BreakerState = BreakerState.CLOSED
    retry_at: float = 0.0
    _wait: float = 0.0

    def allows(self, now: float) -> bool:
        """Whether a call may be made at monotonic time `now`. If a trial is due, this call becomes the trial."""
        if self.is_due(now):
            self.state = BreakerState.HALF_OPEN
            return True
        return self.state is BreakerState.CLOSED

    def is_due(self, now: float) -> bool:
        """Whether a trial is due, so that the next allowed call is that trial."""
        return self.state is BreakerState.OPEN and now >= self.retry_at

    def succeeded(self) -> None:
        self.state = BreakerState.CLOSED
        self.faults_in_a_row = 0
        self._wait = 0.0

    def failed(self, now: float, *, at_once: bool = False) -> None:
        """Records a failed call. `at_once` opens the breaker without waiting for `threshold` faults."""
        self.faults_in_a_row += 1
        if self.state is BreakerState.OPEN:
            return  # the call began before the breaker opened
        if self.state is BreakerState.HALF_OPEN or at_once or self.faults_in_a_row >= self.threshold:
            self._wait = min(self._wait * 2, self.longest) if self._wait else self.cooldown
            self.retry_at = now + self._wait
            self.state = BreakerState.OPEN
