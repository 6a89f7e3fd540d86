"""Whether the wall clock may be believed when something is deleted for its age."""

from __future__ import annotations

import time
from collections.abc import Callable

_JUMP = 3600.0
"""Seconds by which the wall clock must run ahead of the monotonic one to have jumped; adjustments stay below."""
_PROOF = 86400.0
"""Seconds for which a clock that jumped must have run evenly before ages count again: who set it wrongly sees it by
then, and what was deleted cannot come back."""


class SteadyClock:
    """Pure but for its two clocks: `wall` in seconds since the epoch, `monotonic` in seconds. One thread."""

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        last_seen: float | None = None,
    ) -> None:
        """`last_seen` is the wall clock's latest time that an earlier process left behind: a clock that is far ahead of
        it may have jumped while nothing ran."""
        self._wall, self._monotonic = wall, monotonic
        self._seen_wall, self._seen = wall(), monotonic()
        ahead = last_seen is not None and self._seen_wall - last_seen > _PROOF
        self._jumped_at: float | None = self._seen if ahead else None

    def trusted(self) -> float | None:
        """The wall clock's time where it may be believed; None where it jumped ahead within a day. To be asked every
        now and then."""
        wall, now = self._wall(), self._monotonic()
        if (wall - self._seen_wall) - (now - self._seen) > _JUMP:
            self._jumped_at = now
        self._seen_wall, self._seen = wall, now
        if self._jumped_at is not None and now - self._jumped_at < _PROOF:
            return None
        self._jumped_at = None
        return wall
