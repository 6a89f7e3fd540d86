"""Telling systemd how the service fares: sd_notify(3), datagrams to the socket that `$NOTIFY_SOCKET` names."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)


class Notifier:
    """Silent where nobody listens. Any thread."""

    def __init__(self, environ: Mapping[str, str], clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        """Reads `NOTIFY_SOCKET` (a path, or an abstract name that begins with "@")."""
        self._address = environ.get("NOTIFY_SOCKET", "")
        self._clock_ns = clock_ns
        self._told_fault = False

    @property
    def listened_to(self) -> bool:
        return bool(self._address)

    def ready(self) -> None:
        """The start, or a reload, is done."""
        self._send("READY=1")

    def reloading(self) -> None:
        """A reload begins; `ready` ends it. The time tells systemd that it is the one it asked for."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={self._clock_ns() // 1000}")

    def stopping(self) -> None:
        """The end begins."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """A line for `systemctl status`."""
        self._send(f"STATUS={' '.join(text.split())}")

    def alive(self) -> None:
        """The watchdog's next time-out begins now."""
        self._send("WATCHDOG=1")

    def needs(self, seconds: float) -> None:
        """A start, reload or end under way takes so much longer, from now on."""
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
            if not self._told_fault:  # a supervisor that went away is told of once, and is no reason to end
                self._told_fault = True
                log.warning("cannot notify systemd of the service state: %s", error.strerror or error)
