"""TCP connection statistics and timeouts, by socket options of the kernel."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress

_RECEIVED_AT = 128
"""Offset of `tcpi_bytes_received` in `struct tcp_info` (linux/tcp.h, since 4.1)."""


def received_bytes(connection: socket.socket) -> int:
    """Bytes received over the connection since it was opened. Raises OSError if it is closed."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RECEIVED_AT + 8)
    received: int = struct.unpack_from("=Q", info, _RECEIVED_AT)[0]
    return received


def cut_off_when_stalled(connection: socket.socket, seconds: float) -> None:
    """Makes the kernel end the connection if the peer accepts no byte, or does not respond at all, for `seconds`."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(1, int(seconds)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, int(seconds / 3)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, int(seconds * 1000)))


def hang_up(connection: socket.socket) -> None:
    """Shuts the connection down in both directions, even if others hold it: a reader on another thread sees EOF.
    Idempotent."""
    with suppress(OSError):  # the peer closed it first
        connection.shutdown(socket.SHUT_RDWR)
