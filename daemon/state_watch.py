"""What belongs to the state and cannot be written is tried again until it can: nobody has to start anything anew."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)

_EVERY = 2.0
"""Seconds between two looks."""
_TELL_EVERY = 5
"""Looks between two log records of a fault that lasts."""


class StateWatch:
    """A thread of its own. `close` twice is safe."""

    def __init__(self, what: str, mend: Callable[[], str | None], told: Callable[[bool], None]) -> None:
        """`mend` tries, where something is wrong, and gives what still is; `told` hears whether all is well."""
        self._what, self._mend, self._told = what, mend, told
        self.fault: str | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="state", daemon=True)
        self._thread.start()

    def close(self, deadline: float) -> None:
        """Ends the thread; one that waits for the disk longer than `deadline` seconds is left behind."""
        self._stop.set()
        self._thread.join(deadline)

    def _run(self) -> None:
        looks = 0
        while True:
            try:
                fault = self._mend()
            except Exception as error:  # noqa: BLE001 — the thread's edge: whatever it is, it is told and tried again
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
