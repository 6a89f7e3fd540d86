"""What the kernel knows and does about a TCP connection."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress

_RECEIVED_AT = 128
"""Where `tcpi_bytes_received` stands in `struct tcp_info` (linux/tcp.h, since 4.1)."""


def received_bytes(connection: socket.socket) -> int:
    """Bytes that came over it since it began. OSError where it is closed."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RECEIVED_AT + 8)
    received: int = struct.unpack_from("=Q", info, _RECEIVED_AT)[0]
    return received


def cut_off_when_stalled(connection: socket.socket, seconds: float) -> None:
    """Has the kernel end it once the peer takes no byte, or does not answer at all, for so long."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(1, int(seconds)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, int(seconds / 3)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, int(seconds * 1000)))


def hang_up(connection: socket.socket) -> None:
    """Ends it for both sides, whoever else holds it: a reader on another thread sees its end. Twice is safe."""
    with suppress(OSError):  # the peer was quicker
        connection.shutdown(socket.SHUT_RDWR)
