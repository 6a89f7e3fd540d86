"""Rate-limits log lines that peers can trigger at will: one line per kind and interval, with a count."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

QUIET = 10.0
"""Seconds between two lines of one kind."""


class Thinned:
    """Throttles by kind; the set of kinds must be small. Thread-safe. `clock` returns monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._untold: Counter[str] = Counter()
        self._told_at: dict[str, float] = {}

    def add(self, kind: str) -> int:
        """Counts one occurrence. Returns the count since the last report if it is time to report, else 0."""
        with self._lock:
            self._untold[kind] += 1
            now = self._clock()
            if now - self._told_at.get(kind, float("-inf")) < QUIET:
                return 0
            self._told_at[kind] = now
            return self._untold.pop(kind)
