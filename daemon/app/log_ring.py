"""The newest log records in memory, redacted like those that are written, for the API."""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from sightd.daemon.app.logs import formatter

MOST_RECORDS = 2000
MOST_BYTES = 1 << 20
_LONGEST = 8192
"""Characters of a record; of longer ones, only the message is kept, and only so much of it."""


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A record as JSON in one line; numbers increase by one."""

    number: int
    text: str


class LogRing(logging.Handler):
    """Keeps at most MOST_RECORDS records and MOST_BYTES, of all libraries. Thread-safe, and never waits for a
    reader."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(formatter("json"))
        self._guard = threading.Lock()
        self._records: deque[LogRecord] = deque()
        self._bytes = self._last = 0
        self._wakers: tuple[Callable[[], None], ...] = ()

    def attach(self) -> None:
        """Takes the records of the whole process from now on."""
        logging.getLogger().addHandler(self)

    def detach(self) -> None:
        """Takes no more records. Idempotent."""
        logging.getLogger().removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(Exception):  # logging never fails its caller, and the other handler reports what is wrong
            self._add(self.format(record))

    def newest(self, most: int, after: int = 0) -> Sequence[LogRecord]:
        """Returns the newest `most` records with a number above `after`, the oldest of them first."""
        with self._guard:
            found = [record for record in self._records if record.number > after]
        return found[max(0, len(found) - most) :]

    @contextmanager
    def followed(self, wake: Callable[[], None]) -> Iterator[None]:
        """Calls `wake` after each new record, on any thread; it must return at once, and log nothing."""
        with self._guard:
            self._wakers = (*self._wakers, wake)
        try:
            yield
        finally:
            with self._guard:
                self._wakers = tuple(one for one in self._wakers if one is not wake)

    def _add(self, text: str) -> None:
        if len(text) > _LONGEST:
            text = json.dumps(_shortened(json.loads(text)))
        with self._guard:
            self._last += 1
            self._records.append(LogRecord(self._last, text))
            self._bytes += len(text)
            while len(self._records) > MOST_RECORDS or self._bytes > MOST_BYTES:
                self._bytes -= len(self._records.popleft().text)
            wakers = self._wakers
        for wake in wakers:
            wake()


def _shortened(record: dict[str, object]) -> dict[str, object]:
    kept = {name: record.get(name) for name in ("level", "logger", "timestamp", "thread_name")}
    return {**kept, "message": str(record.get("message"))[: _LONGEST // 2] + " …"}
