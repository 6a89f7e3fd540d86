"""What the daemon is asked for while it runs: to stop, or to read its configuration anew."""

from __future__ import annotations

import os
import signal
from concurrent.futures import Future
from queue import SimpleQueue

from daemon.config.changes import Changes


class StoppedEarly(BaseException):
    """A signal came while plug-ins were still being opened, which may take as long as a download."""


class Requests:
    """SIGTERM and SIGINT ask for the stop, or end the start where that is still going on; a second one ends the process
    at once. SIGHUP asks for a reload, as `reload` does. Made and waited for on the main thread."""

    def __init__(self) -> None:
        self._asked: SimpleQueue[Future[Changes] | None] = SimpleQueue()
        self._stopping = self._started = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, lambda *_: self._asked.put(Future()))

    def next(self) -> Future[Changes] | None:
        """Waits for the next one: a reload, to be answered by its future, or None: stop. The start is over."""
        self._started = True
        return None if self._stopping else self._asked.get()

    def reload(self) -> Future[Changes]:
        """Asks for a reload; the answer says what it changed. Any thread."""
        future: Future[Changes] = Future()
        self._asked.put(future)
        return future

    def _stop(self, number: int, _frame: object) -> None:
        if self._stopping:
            os._exit(128 + number)
        self._stopping = True
        self._asked.put(None)
        if not self._started:
            raise StoppedEarly
