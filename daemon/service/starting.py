"""Runs the start on its own thread, so that signals are handled while a plug-in hangs or downloads."""

from __future__ import annotations

import threading
from collections.abc import Callable

from sightd.daemon.service.requests import MainRequest, Requests


class Start:
    """Runs the daemon's start. Call `run` and `settle` on the main thread."""

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
