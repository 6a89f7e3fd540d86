"""A time limit shared by the steps of one sequence."""

from __future__ import annotations

import time
from collections.abc import Callable


class Deadline:
    """Expires `seconds` after it is created. Thread-safe."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at = clock() + seconds

    def within(self, most: float, *, keep: float = 0.0) -> float:
        """Seconds that the next step may take: at most `most`, excluding the last `keep` seconds, which are reserved
        for later steps. Never negative."""
        return max(0.0, min(most, self._at - self._clock() - keep))
