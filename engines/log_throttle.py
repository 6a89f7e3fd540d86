"""Rate-limits log messages that may recur at a high rate: one per kind and interval, with a count."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

INTERVAL = 10.0
"""Seconds between two messages of one kind."""


class LogThrottle:
    """Throttles by kind; the set of kinds must be small. Thread-safe. `clock` returns monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._unreported: Counter[str] = Counter()
        self._reported_at: dict[str, float] = {}

    def add(self, kind: str = "") -> int:
        """Counts one occurrence. Returns the count since the last report if it is time to report, else 0."""
        with self._lock:
            self._unreported[kind] += 1
            now = self._clock()
            if now - self._reported_at.get(kind, float("-inf")) < INTERVAL:
                return 0
            self._reported_at[kind] = now
            return self._unreported.pop(kind)
