"""A time budget for work that anybody may request, as often as they like."""

from __future__ import annotations

import time
from collections.abc import Callable


class Budget:
    """Accrues `share` seconds per second, up to `most`. Not thread-safe; `clock` returns monotonic seconds."""

    def __init__(self, share: float, most: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._share, self._most, self._clock = share, most, clock
        self._left = most
        self._at = clock()

    @property
    def left(self) -> bool:
        """Whether any time is left. The last piece of work may have overdrawn the budget."""
        now = self._clock()
        self._left = min(self._most, self._left + self._share * (now - self._at))
        self._at = now
        return self._left > 0

    def spend(self, seconds: float) -> None:
        self._left -= seconds
