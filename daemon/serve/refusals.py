"""Connections that were turned away or cut off: each is counted, and the log tells of them now and then."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from sightd.daemon.thinned import Thinned

log = logging.getLogger(__name__)


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
        self._server, self._told, self._count = server, told, count
        self._thinned = Thinned(clock)

    def add(self, reason: str, address: str) -> None:
        """One more, which came from `address`. KeyError where `told` lacks the reason."""
        sentence = self._told[reason]
        self._count(reason)
        if times := self._thinned.add(reason):
            log.warning("%s closed %d connection(s), the last from %s: %s", self._server, times, address, sentence)
