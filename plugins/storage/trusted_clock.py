"""Decides whether the wall clock can be trusted when data is deleted by age."""

from __future__ import annotations

import time
from collections.abc import Callable

_JUMP = 3600.0
"""A lead of the wall clock over the monotonic clock, in s, that counts as a jump; normal adjustments stay below it."""
_PROOF = 86400.0
"""How long, in s, a clock must run evenly after a jump before it is trusted again. By then somebody should have noticed
a wrong setting; deleted data cannot be restored."""


class TrustedClock:
    """Detects jumps of the wall clock. Pure apart from its clocks: `wall` in seconds since the epoch, `monotonic` in
    seconds. Not thread-safe."""

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        last_seen: float | None = None,
    ) -> None:
        """`last_seen` is the latest wall-clock time recorded by an earlier process. A clock more than a day ahead of it
        may have jumped while nothing was running."""
        self._wall, self._monotonic = wall, monotonic
        self._seen_wall, self._seen = wall(), monotonic()
        ahead = last_seen is not None and self._seen_wall - last_seen > _PROOF
        self._jumped_at: float | None = self._seen if ahead else None

    def trusted(self) -> float | None:
        """Returns the wall-clock time, or None if the clock jumped ahead within the last day. Must be called regularly:
        jumps are measured between calls."""
        wall, now = self._wall(), self._monotonic()
        if (wall - self._seen_wall) - (now - self._seen) > _JUMP:
            self._jumped_at = now
        self._seen_wall, self._seen = wall, now
        if self._jumped_at is not None and now - self._jumped_at < _PROOF:
            return None
        self._jumped_at = None
        return wall
