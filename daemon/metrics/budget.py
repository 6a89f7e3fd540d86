"""Time that work which anybody may ask for, as often as they like, may cost."""

from __future__ import annotations

import time
from collections.abc import Callable


class Budget:
    """`share` of each second, of which `most` seconds can be saved up. One thread at a time; `clock` is monotonic."""

    def __init__(self, share: float, most: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._share, self._most, self._clock = share, most, clock
        self._left = most
        self._at = clock()

    @property
    def left(self) -> bool:
        """Whether there is any: the last piece of work may have cost more than there was."""
        now = self._clock()
        self._left = min(self._most, self._left + self._share * (now - self._at))
        self._at = now
        return self._left > 0

    def spend(self, seconds: float) -> None:
        self._left -= seconds
