"""The watchdog: systemd is told that the service lives only after every loop was seen to turn."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping

from sightd.daemon.service.notify import Notifier

log = logging.getLogger(__name__)

EXIT_STALLED = 70
"""Exit code of a service that ends itself because a loop stands still: EX_SOFTWARE of sysexits."""
_STATUS_EVERY = 5.0
"""Seconds between two lines of status."""


class Watchdog:
    """A thread of its own. Where `$WATCHDOG_USEC` asks for it, systemd gets its sign of life three times within that
    time as long as nothing stalls; what stalls for that time ends the process, so that it is restarted.

    If its own turn comes far too late, the whole process stood still (stopped and continued, a virtual machine that was
    paused), and the loops could not turn either: they get the full time once more. Time is CLOCK_MONOTONIC, like
    systemd's own and that of the loops: it stands still while the machine is suspended.
    """

    def __init__(
        self,
        notifier: Notifier,
        healthy: Callable[[], tuple[bool, str]],
        status: Callable[[], str],
        environ: Mapping[str, str],
        *,
        exit: Callable[[int], None] = os._exit,  # noqa: A002 — what it is
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`healthy` says whether every loop turns, and in a sentence how that is known; `status` what the service does.
        Both are called on this thread and must return at once."""
        self._notifier, self._healthy, self._status, self._exit = notifier, healthy, status, exit
        self._clock = clock
        self._within = _asked_for(environ)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        if self._notifier.listened_to:
            self._thread.start()

    def close(self, deadline: float = 2.0) -> None:
        """Ends the thread within `deadline` seconds, if it was started."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(deadline)

    def _run(self) -> None:
        turn = min(_STATUS_EVERY, self._within / 3)
        alive_at = told_at = turned_at = self._clock()
        excused = False
        while not self._stop.wait(turn):
            now = self._clock()
            late, turned_at = now - turned_at > 2 * turn, now
            if late and not excused:  # only once, so that a loop that never turns is still detected
                log.warning("the process stood still: the loops have %.0f s to turn again", self._within)
                excused, alive_at = True, now
                self._alive()
            healthy, why = self._healthy()
            if healthy:
                alive_at, excused = now, False
                self._alive()
            elif now - alive_at >= self._within:
                log.critical("%s: ending, to be started again", why)
                self._exit(EXIT_STALLED)
                return
            if now - told_at >= _STATUS_EVERY or not healthy:
                told_at = now
                self._notifier.status(self._status() if healthy else why)

    def _alive(self) -> None:
        if self._within < float("inf"):
            self._notifier.alive()


def _asked_for(environ: Mapping[str, str]) -> float:
    """Seconds within which a sign of life is due; endless where none is asked for, or another process is meant."""
    pid = environ.get("WATCHDOG_PID", "")
    microseconds = environ.get("WATCHDOG_USEC", "")
    if not microseconds.isdigit() or int(microseconds) == 0 or (pid and pid != str(os.getpid())):
        return float("inf")
    return int(microseconds) / 1e6
