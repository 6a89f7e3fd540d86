"""Notifies systemd of the service state by sd_notify(3): datagrams to the socket in `$NOTIFY_SOCKET`."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)


class Notifier:
    """Does nothing if there is no socket. Thread-safe."""

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

    def needs(self, seconds: float) -> None:
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
