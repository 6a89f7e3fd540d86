"""The web server's listening socket, which closes connections beyond the limit at once.

The limit is enforced here and not in the protocol, which asyncio creates only after the TLS handshake: a client that
never completes it takes a slot too.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from typing import Any

from sightd.daemon.serve.limits import ConnectionLimiter

_STALL_MS = 10_000
"""The kernel cuts off a connection that accepts no byte for this long; a stopped browser would keep its slot."""
_BACKLOG = 128
ACCEPTED_AT_ONCE = 8
"""Connections accepted before other event loop tasks get a turn."""


class GuardedSocket(socket.socket):
    """`refused` is called with the reason and origin of a closed connection. Works only with asyncio's own event loop,
    which uses `accept`; other loops bypass Python."""

    limiter: ConnectionLimiter
    refused: Callable[[str, str], None]

    def accept(self) -> tuple[socket.socket, Any]:
        """Returns the next connection within the limits. Raises BlockingIOError if none is pending, or
        ConnectionAbortedError after rejecting several, so that asyncio runs other tasks before it accepts more."""
        for _ in range(ACCEPTED_AT_ONCE):
            connection, address = super().accept()
            origin = self.origin(connection, address)
            full = self.limiter.enter(origin)
            if full is None:
                admitted = _Admitted(self.family, self.type, self.proto, connection.detach())
                admitted.leave = partial(self.limiter.leave, origin)
                return admitted, address
            connection.close()
            self.refused(full, origin)
        raise ConnectionAbortedError

    def origin(self, _connection: socket.socket, address: Any) -> str:
        """Key by which connections are counted and logged."""
        return str(address[0])

    def listen(self, _at_once: int = 0) -> None:
        """Ignores `_at_once`, the number of connections asyncio accepts at a time, and sets the kernel's backlog to
        `_BACKLOG`."""
        super().listen(_BACKLOG)


class _Admitted(socket.socket):
    """Releases its slot when it is closed."""

    leave: Callable[[], None] | None = None

    def close(self) -> None:
        super().close()
        if (leave := self.leave) is not None:
            self.leave = None
            leave()


def listen(host: str, port: int, limiter: ConnectionLimiter, refused: Callable[[str, str], None]) -> GuardedSocket:
    """Returns a bound and listening socket. Raises OSError if the address cannot be bound."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listening = GuardedSocket(family, kind, protocol)
    listening.limiter, listening.refused = limiter, refused
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STALL_MS)  # inherited by connections
        listening.bind(address)
        listening.listen()
    except OSError:
        listening.close()
        raise
    return listening
