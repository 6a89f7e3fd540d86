"""Signals and other requests to the daemon's main thread, which does nothing but wait for them."""

from __future__ import annotations

import os
import signal
import threading
from enum import Enum
from queue import SimpleQueue


class Request(Enum):
    """What the main thread is asked for."""

    STOP = "stop"
    RELOAD = "reload"
    STARTED = "started"
    """The start has ended, however it did."""


class Requests:
    """SIGTERM and SIGINT ask for the stop; a second one ends the process at once. SIGHUP asks for a reload.

    Construct and wait on the main thread; `put` and `stopping` on any thread.
    """

    def __init__(self) -> None:
        self._asked: SimpleQueue[Request | BaseException] = SimpleQueue()
        self.stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, lambda *_: self._asked.put(Request.RELOAD))

    def next(self) -> Request:
        """Waits for the next request. Raises what was given to `fail`."""
        asked = Request.STOP if self.stopping.is_set() else self._asked.get()
        if isinstance(asked, BaseException):
            raise asked
        return asked

    def put(self, request: Request) -> None:
        self._asked.put(request)

    def fail(self, error: BaseException) -> None:
        """Ends the main thread with an error after which the daemon cannot go on."""
        self._asked.put(error)

    def _stop(self, number: int, _frame: object) -> None:
        if self.stopping.is_set():
            os._exit(128 + number)
        self.stopping.set()
        self._asked.put(Request.STOP)
