"""The main thread waits for signals, reload requests and the end of the start, which has its own thread."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from enum import Enum
from queue import Empty, SimpleQueue

_WAKE_EVERY = 0.5
"""Seconds between two checks for a signal that the kernel delivered to another thread, which does not wake this one."""


class MainRequest(Enum):
    """A request to the main thread."""

    STOP = "stop"
    RELOAD = "reload"
    STARTED = "started"
    """The start has ended, successfully or not."""


class Requests:
    """SIGTERM and SIGINT request a stop; a second one ends the process at once. SIGHUP requests a reload.

    Construct it and call `next` on the main thread; `put`, `fail` and `stopping` are thread-safe.
    """

    def __init__(self) -> None:
        self._asked: SimpleQueue[MainRequest | BaseException] = SimpleQueue()
        self.stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, lambda *_: self._asked.put(MainRequest.RELOAD))

    def next(self) -> MainRequest:
        """Waits for the next request. Raises an error that was passed to `fail`."""
        while not self.stopping.is_set():
            try:
                asked = self._asked.get(timeout=_WAKE_EVERY)
            except Empty:
                continue
            if isinstance(asked, BaseException):
                raise asked
            return asked
        return MainRequest.STOP

    def put(self, request: MainRequest) -> None:
        self._asked.put(request)

    def fail(self, error: BaseException) -> None:
        """Makes `next` raise an error after which the daemon cannot continue."""
        self._asked.put(error)

    def _stop(self, number: int, _frame: object) -> None:
        if self.stopping.is_set():
            os._exit(128 + number)
        self.stopping.set()
        self._asked.put(MainRequest.STOP)


class Start:
    """Runs the daemon's start on its own thread, so that signals are handled while a plug-in hangs or downloads. Call
    `run` and `settle` on the main thread."""

    def __init__(self, start: Callable[[], None], requests: Requests) -> None:
        self._start, self._requests = start, requests
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="start", daemon=True)

    def run(self) -> bool:
        """Runs the start to its end and re-raises its error. Returns False if a stop was requested meanwhile."""
        self._thread.start()
        reload = False
        while (request := self._requests.next()) is not MainRequest.STARTED:
            if request is MainRequest.STOP:
                return False
            reload = True
        if self._error is not None:
            raise self._error
        if reload:
            self._requests.put(MainRequest.RELOAD)
        return True

    def settle(self, seconds: float) -> None:
        """Waits up to `seconds` for an aborted start to end; abandons one that hangs."""
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _run(self) -> None:
        try:
            self._start()
        except BaseException as error:  # noqa: BLE001 — passed to the main thread, which raises it
            self._error = error
        self._requests.put(MainRequest.STARTED)
