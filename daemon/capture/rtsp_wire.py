"""The TCP connection beneath GStreamer's RTSP client: limits that GStreamer lacks, and facts that it does not report.

rtspsrc reads an answer of any length, and does not reveal which connection is its own. GIO announces each new
connection, in the thread that makes it; that is also the one that sends the requests.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_BYTES_RECEIVED = 128
"""Offset of tcpi_bytes_received, a uint64, in Linux's struct tcp_info."""
_MOST_REMEMBERED = 256

_made: dict[int, Callable[[], Any]] = {}
"""By thread, a weak reference to the connection it made last. Connections of other clients are included."""


class Wire:
    """One connection, which its owner may close at any time on another thread."""

    def __init__(self, connection: Any) -> None:
        """`connection` is open, and its owner must not close it during this call."""
        self._reference = connection.weak_ref()  # a strong one would keep it open
        self._identity = _identity(connection.get_socket().get_fd())

    def received(self) -> int:
        """Returns the bytes that the peer has sent so far; 0 if the connection is closed."""
        with suppress(OSError, struct.error), self._socket() as own:
            told = own.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_RECEIVED + 8)
            return int(struct.unpack_from("=Q", told, _BYTES_RECEIVED)[0])
        return 0

    def cut(self) -> None:
        """Shuts the connection down: reads and writes fail at once. Idempotent."""
        with suppress(OSError), self._socket() as own:
            own.shutdown(socket.SHUT_RDWR)

    def _socket(self) -> socket.socket:
        """Returns a duplicate of the connection's socket, to be closed after use. Raises OSError if the connection is
        closed.

        The owner may close the descriptor before it is duplicated, and its number may then belong to a file or socket
        of another thread.
        """
        connection = self._reference()
        if connection is None:
            raise OSError(errno.EBADF, "closed")
        descriptor = os.dup(connection.get_socket().get_fd())
        if _identity(descriptor) != self._identity:
            os.close(descriptor)
            raise OSError(errno.EBADF, "closed, and the descriptor was reused")
        return socket.socket(fileno=descriptor)


def _identity(descriptor: int) -> tuple[int, int] | None:
    """Returns device and inode, which no other socket has while this one or a duplicate of it is open; None if it is
    closed."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def watch(gio: Any, gobject: Any) -> None:
    """Records connections from now on; call it once per process."""
    gio.SocketClient()  # registers its type
    gobject.add_emission_hook(gio.SocketClient, "event", _note, gio.SocketClientEvent.COMPLETE)


def own_connection() -> Any | None:
    """Returns the connection that this thread made since the last call, if it still exists. Release it soon: the
    reference keeps it open."""
    reference = _made.pop(threading.get_ident(), None)
    return None if reference is None else reference()


def _note(_client: Any, event: Any, _target: Any, connection: Any, complete: Any) -> bool:
    if event == complete and connection is not None:
        if len(_made) > _MOST_REMEMBERED:
            _made.clear()
        _made[threading.get_ident()] = connection.weak_ref()
    return True
