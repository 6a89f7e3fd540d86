"""Lines of log that peers can cause as often as they like: each kind is told now and then, with how often it came."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

QUIET = 10.0
"""Seconds between two lines of a kind."""


class Thinned:
    """Of kinds that are few. Any thread; `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._untold: Counter[str] = Counter()
        self._told_at: dict[str, float] = {}

    def add(self, kind: str) -> int:
        """One more. How many there were since the last that was told, if this is to be told, else 0."""
        with self._lock:
            self._untold[kind] += 1
            now = self._clock()
            if now - self._told_at.get(kind, float("-inf")) < QUIET:
                return 0
            self._told_at[kind] = now
            return self._untold.pop(kind)
