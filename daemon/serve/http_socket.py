"""The web server's listening socket, which closes at once what finds no room.

The limit stands here and not in the protocol, which asyncio makes only after TLS was agreed on: whoever never gets that
far takes a place, too.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from typing import Any

from sightd.daemon.serve.places import Places

_STALL_MS = 10_000
"""A connection that takes no byte for so long is cut off by the kernel; a stopped browser would hold its seat."""
_BACKLOG = 128
ACCEPTED_AT_ONCE = 8
"""Connections, before all others who wait for the event loop have their turn."""


class GuardedSocket(socket.socket):
    """`refused` hears why a connection was closed, and from where it came. For asyncio's own event loop, which accepts
    by `accept`; others do it past Python."""

    places: Places
    refused: Callable[[str, str], None]

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection that finds room. BlockingIOError where none waits, ConnectionAbortedError where some
        found none: asyncio then turns to others who wait for it, before it accepts more."""
        for _ in range(ACCEPTED_AT_ONCE):
            connection, address = super().accept()
            origin = self.origin(connection, address)
            full = self.places.enter(origin)
            if full is None:
                admitted = _Admitted(self.family, self.type, self.proto, connection.detach())
                admitted.leave = partial(self.places.leave, origin)
                return admitted, address
            connection.close()
            self.refused(full, origin)
        raise ConnectionAbortedError

    def origin(self, _connection: socket.socket, address: Any) -> str:
        """Whose connections are counted together, and how the log names them."""
        return str(address[0])

    def listen(self, _at_once: int = 0) -> None:
        """`_at_once`, how many asyncio accepts at a time, is none of the kernel's business."""
        super().listen(_BACKLOG)


class _Admitted(socket.socket):
    """Gives its place back when it is closed."""

    leave: Callable[[], None] | None = None

    def close(self) -> None:
        super().close()
        if (leave := self.leave) is not None:
            self.leave = None
            leave()


def listen(host: str, port: int, places: Places, refused: Callable[[str, str], None]) -> GuardedSocket:
    """OSError if the address cannot be had."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listening = GuardedSocket(family, kind, protocol)
    listening.places, listening.refused = places, refused
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STALL_MS)  # inherited by connections
        listening.bind(address)
        listening.listen()
    except OSError:
        listening.close()
        raise
    return listening
