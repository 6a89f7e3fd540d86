"""The TCP connection beneath GStreamer's RTSP client: limits that GStreamer lacks, and facts that it does not report.

rtspsrc reads an answer of any length, and does not reveal which connection is its own. GIO announces each new
connection, in the thread that makes it; that is also the one that sends the requests.
"""

from __future__ import annotations

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


class RtspConnection:
    """A duplicate of a connection's descriptor. Any thread.

    Its own descriptor, because a reference to the connection object would not do: a strong one keeps the connection
    open, and upgrading a weak one crashes if another thread is freeing the object at that moment. The connection stays
    open until this one is closed as well.
    """

    def __init__(self, connection: Any) -> None:
        """`connection` is open, and its owner must not close it during this call. Raises OSError if there is no
        descriptor left."""
        self._socket = socket.socket(fileno=os.dup(connection.get_socket().get_fd()))
        self._lock = threading.Lock()

    def received(self) -> int:
        """Returns the bytes that the peer has sent so far; 0 after `close`."""
        with self._lock, suppress(OSError, struct.error):
            info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_RECEIVED + 8)
            return int(struct.unpack_from("=Q", info, _BYTES_RECEIVED)[0])
        return 0

    def cut(self) -> None:
        """Shuts the connection down: reads and writes fail at once. Idempotent."""
        with self._lock, suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Closes the duplicate. Idempotent."""
        with self._lock:
            self._socket.close()


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
