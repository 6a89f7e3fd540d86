"""Counts connections that were rejected or cut off, and logs them at a limited rate."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from sightd.daemon.log_throttle import LogThrottle

log = logging.getLogger(__name__)


class RejectionCounter:
    """Rejections of one server. Thread-safe.

    `told` maps each reason to a sentence, `count` increments the reason's counter, `clock` returns monotonic seconds.
    """

    def __init__(
        self,
        server: str,
        told: Mapping[str, str],
        count: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server, self._told, self._count = server, told, count
        self._throttle = LogThrottle(clock)

    def add(self, reason: str, address: str) -> None:
        """Counts one rejected connection from `address`. Raises KeyError if `told` lacks the reason."""
        sentence = self._told[reason]
        self._count(reason)
        if times := self._throttle.add(reason):
            log.warning("%s closed %d connection(s), the last from %s: %s", self._server, times, address, sentence)
