"""HTTP of which everything, from connecting to the end of an answer, ends by a deadline."""

from __future__ import annotations

import contextlib
import http.client
import io
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any


class DeadlineConnection(http.client.HTTPConnection):
    """A connection whose every step ends by `until` (monotonic s), by TimeoutError. Not thread-safe, except `abort`."""

    def __init__(self, host: str, port: int, tls: Callable[[], ssl.SSLContext] | None) -> None:
        super().__init__(host, port)
        self._tls = tls
        self.until = 0.0
        self._aborted = False

    def connect(self) -> None:
        sock = socket.create_connection((self.host, self.port), timeout=_left(self.until))
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                sock.settimeout(_left(self.until))
                sock = self._tls().wrap_socket(sock, server_hostname=self.host)
            if self._aborted:
                raise ConnectionAbortedError("aborted")
        except BaseException:
            sock.close()
            raise
        self.sock: Any = _TimedSocket(sock, self)

    def abort(self) -> None:
        self._aborted = True
        sock = self.sock
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.raw.shutdown(socket.SHUT_RDWR)


class _TimedSocket:
    """What http.client uses of a socket: it closes one whose answer it still reads."""

    def __init__(self, raw: socket.socket, owner: DeadlineConnection) -> None:
        self.raw, self._owner = raw, owner
        self._readers = 0
        self._closed = False

    def sendall(self, data: bytes) -> None:
        self.raw.settimeout(_left(self._owner.until))
        self.raw.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        self._readers += 1
        return io.BufferedReader(_TimedReader(self, self._owner))

    def close(self) -> None:
        self._closed = True
        self._close_unread()

    def release(self) -> None:
        """A reader does not need it any more."""
        self._readers -= 1
        self._close_unread()

    def _close_unread(self) -> None:
        if self._closed and self._readers <= 0:
            self.raw.close()


class _TimedReader(io.RawIOBase):
    """Reads from the socket."""

    def __init__(self, sock: _TimedSocket, owner: DeadlineConnection) -> None:
        self._sock, self._owner = sock, owner

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.raw.settimeout(_left(self._owner.until))
        return self._sock.raw.recv_into(buffer)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._sock.release()


def _left(until: float) -> float:
    """Returns the seconds until then. Raises TimeoutError if there are none."""
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
