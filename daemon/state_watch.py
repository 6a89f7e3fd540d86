"""Retries state writes that failed until the disk accepts them, so no restart is needed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)

_EVERY = 2.0
"""Seconds between two attempts."""
_TELL_EVERY = 5
"""Attempts between two log records of a persistent error."""


class StateWatch:
    """Retries on its own thread. `close` is idempotent."""

    def __init__(self, what: str, recover: Callable[[], str | None], told: Callable[[bool], None]) -> None:
        """`recover` retries failed writes and returns the remaining error or None; `told` is called with whether all is
        well."""
        self._what, self._recover, self._told = what, recover, told
        self.fault: str | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="state", daemon=True)
        self._thread.start()

    def close(self, deadline: float) -> None:
        """Stops the thread; abandons it if it waits for the disk longer than `deadline` seconds."""
        self._stop.set()
        self._thread.join(deadline)

    def _run(self) -> None:
        looks = 0
        while True:
            try:
                fault = self._recover()
            except Exception as error:  # noqa: BLE001 — the thread's outermost loop: any error is reported and retried
                fault = f"{type(error).__name__}: {error}"
            if fault is not None and looks % _TELL_EVERY == 0:
                log.error("%s cannot be written: %s", self._what, fault)
            elif fault is None and self.fault is not None:
                log.info("%s can be written again", self._what)
            looks = 0 if fault is None else looks + 1
            self.fault = fault
            self._told(fault is None)
            if self._stop.wait(_EVERY):
                return
