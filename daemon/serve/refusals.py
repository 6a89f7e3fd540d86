"""Connections that were turned away or cut off: each is counted, and the log tells of them now and then."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)

QUIET = 10.0
"""Seconds between two lines about the same reason: a flood must not fill the log."""


class Refusals:
    """Of one server. Any thread.

    `told` has a sentence for each reason, `count` counts one of a reason, `clock` gives monotonic seconds.
    """

    def __init__(
        self,
        server: str,
        told: Mapping[str, str],
        count: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server, self._told, self._count, self._clock = server, told, count, clock
        self._lock = threading.Lock()
        self._untold: Counter[str] = Counter()
        self._told_at: dict[str, float] = {}

    def add(self, reason: str, address: str) -> None:
        """One more, which came from `address`. KeyError where `told` lacks the reason."""
        sentence = self._told[reason]
        self._count(reason)
        with self._lock:
            self._untold[reason] += 1
            now = self._clock()
            if now - self._told_at.get(reason, float("-inf")) < QUIET:
                return
            self._told_at[reason] = now
            times = self._untold.pop(reason)
        log.warning("%s closed %d connection(s), the last from %s: %s", self._server, times, address, sentence)
