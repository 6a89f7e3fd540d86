"""The daemon under systemd: state notifications, timeout extensions and the watchdog."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping

from sightd.engines.progress import Progress

log = logging.getLogger(__name__)


class Notifier:
    """Sends the service state to systemd by sd_notify(3): datagrams to the socket in `$NOTIFY_SOCKET`. Does nothing if
    there is no socket. Thread-safe."""

    def __init__(self, environ: Mapping[str, str], clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        """Reads `NOTIFY_SOCKET` (a path, or an abstract name that starts with "@")."""
        self._address = environ.get("NOTIFY_SOCKET", "")
        self._clock_ns = clock_ns
        self._told_fault = False

    @property
    def listened_to(self) -> bool:
        return bool(self._address)

    def ready(self) -> None:
        """The start or a reload is complete."""
        self._send("READY=1")

    def reloading(self) -> None:
        """A reload begins; `ready` ends it. The timestamp tells systemd that this is the reload it requested."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={self._clock_ns() // 1000}")

    def stopping(self) -> None:
        """Shutdown begins."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """Sets the status line of `systemctl status`."""
        self._send(f"STATUS={' '.join(text.split())}")

    def alive(self) -> None:
        """Restarts the watchdog's timeout."""
        self._send("WATCHDOG=1")

    def requires(self, seconds: float) -> None:
        """Extends the timeout of the current start, reload or stop to `seconds` from now."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.settimeout(1.0)
                sender.sendto(message.encode(), address)
        except OSError as error:
            if not self._told_fault:  # log the first failure only; a missing supervisor is no reason to exit
                self._told_fault = True
                log.warning("cannot notify systemd of the service state: %s", error.strerror or error)


_EXTEND_EVERY = 5.0
"""Seconds between two notifications."""
_EXTENSION = 300.0
"""Seconds requested each time: a download or an engine build may be silent for this long."""


def extending(notifier: Notifier, progress: Progress, renew: Callable[[], None]) -> Progress:
    """Wraps `progress` to also extend systemd's start timeout and call `renew`, which may raise to abort the work."""
    reported_at = float("-inf")

    def report(task: str, done: int, total: int | None) -> None:
        nonlocal reported_at
        renew()
        progress(task, done, total)
        now = time.monotonic()
        if now - reported_at >= _EXTEND_EVERY:
            reported_at = now
            notifier.requires(_EXTENSION)
            notifier.status(task)

    return report


EXIT_STALLED = 70
"""Exit code if the service ends itself because a loop is stuck: EX_SOFTWARE of sysexits."""
_STATUS_EVERY = 5.0
"""Seconds between two status lines."""


class Watchdog:
    """Reports to systemd that the service is alive while every loop makes progress. Runs on its own thread.

    If `$WATCHDOG_USEC` is set, notifies systemd three times within that interval while nothing stalls; a stall of that
    length ends the process, so that systemd restarts it.

    If this thread itself wakes far too late, the whole process was stopped (SIGSTOP, a paused virtual machine) and the
    loops could not run either: they get the full interval once more. Time is CLOCK_MONOTONIC, as in systemd and the
    loops: it stops while the machine is suspended.
    """

    def __init__(
        self,
        notifier: Notifier,
        healthy: Callable[[], tuple[bool, str]],
        status: Callable[[], str],
        environ: Mapping[str, str],
        *,
        exit: Callable[[int], None] = os._exit,  # noqa: A002 — it is os._exit
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`healthy` returns whether every loop makes progress, and a sentence that explains it; `status` describes what
        the service does. Both are called on this thread and must not block."""
        self._notifier, self._healthy, self._status, self._exit = notifier, healthy, status, exit
        self._clock = clock
        self._within = _asked_for(environ)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        if self._notifier.listened_to:
            self._thread.start()

    def close(self, deadline: float = 2.0) -> None:
        """Stops the thread within `deadline` seconds, if it was started."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(deadline)

    def _run(self) -> None:
        turn = min(_STATUS_EVERY, self._within / 3)
        alive_at = reported_at = turned_at = self._clock()
        excused = False
        while not self._stop.wait(turn):
            now = self._clock()
            late, turned_at = now - turned_at > 2 * turn, now
            if late and not excused:  # only once, so that a loop that never iterates is still detected
                log.warning("the process was suspended: the loops have %.0f s to resume", self._within)
                excused, alive_at = True, now
                self._alive()
            healthy, why = self._healthy()
            if healthy:
                alive_at, excused = now, False
                self._alive()
            elif now - alive_at >= self._within:
                log.critical("%s: exiting to be restarted", why)
                self._exit(EXIT_STALLED)
                return
            if now - reported_at >= _STATUS_EVERY or not healthy:
                reported_at = now
                self._notifier.status(self._status() if healthy else why)

    def _alive(self) -> None:
        if self._within < float("inf"):
            self._notifier.alive()


def _asked_for(environ: Mapping[str, str]) -> float:
    """Watchdog interval in seconds; infinite if none is requested or it is meant for another process."""
    pid = environ.get("WATCHDOG_PID", "")
    microseconds = environ.get("WATCHDOG_USEC", "")
    if not microseconds.isdigit() or int(microseconds) == 0 or (pid and pid != str(os.getpid())):
        return float("inf")
    return int(microseconds) / 1e6
