"""A time limit that the parts of one sequence share."""

from __future__ import annotations

import time
from collections.abc import Callable


class Deadline:
    """Passes `seconds` after it is made. Any thread."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at = clock() + seconds

    def within(self, most: float, *, keep: float = 0.0) -> float:
        """Seconds that the next part may take: at most `most`, and not the last `keep` seconds, which are reserved for
        the parts after it. Never negative."""
        return max(0.0, min(most, self._at - self._clock() - keep))
