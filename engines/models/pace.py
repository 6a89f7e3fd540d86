"""Time limit of a transfer, from its size and a least rate, so that a slow source cannot hold a lock for days."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import Any, Protocol

from sightd.engines.errors import EngineError

GRACE = 120.0
"""Seconds that every transfer gets in addition, for connecting, redirects and short stalls."""
LEAST_RATE = 32 * 1024
"""Least average rate in bytes per second: 1 GiB may take 9 hours."""


class Pace:
    """Limits a transfer of at most `limit` bytes: at any time it may have taken GRACE seconds, and one second more per
    LEAST_RATE bytes received. For one thread."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._clock = limit, clock
        self._begun = clock()
        self.received = 0

    def require(self) -> None:
        """Raises EngineError if the transfer is too slow."""
        took = self._clock() - self._begun
        if took > GRACE + min(self.received, self._limit) / LEAST_RATE:
            raise EngineError(
                f"too slow: {self.received:,} bytes in {took:.0f} s, at least {LEAST_RATE:,} bytes/s are required "
                f"after {GRACE:.0f} s: stopped"
            )

    def advance(self, received: int) -> None:
        """Records how many bytes have arrived in total. Raises EngineError if the transfer is too slow."""
        self.received = max(self.received, received)
        self.require()


class _Source(Protocol):
    def readinto(self, buffer: Any, /) -> int | None: ...
    def close(self) -> None: ...


class PacedReader(io.RawIOBase):
    """Reads from a stream, and raises EngineError instead of waiting for more if the transfer is too slow. Takes
    ownership of the stream."""

    def __init__(self, raw: _Source, pace: Pace) -> None:
        super().__init__()
        self._raw, self._pace = raw, pace

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        self._pace.require()
        count = self._raw.readinto(buffer)
        self._pace.received += count or 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()
