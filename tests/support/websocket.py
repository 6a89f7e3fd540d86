"""A WebSocket client for tests."""

from __future__ import annotations

import json
import socket
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from wsproto import ConnectionType, WSConnection, events


class WebSocketClient:
    """A connection to `path`; a context manager. `status` is 101 if the server accepted it, otherwise `body` says why
    not. It answers pings while it receives, if `answers`."""

    def __init__(
        self,
        address: tuple[str, int] | Path,
        path: str,
        headers: Iterable[tuple[str, str]] = (),
        *,
        host: str = "",
        buffer: int = 4096,
    ) -> None:
        """`address` may be the path of a Unix socket; `host` is the Host header, by default the address. The kernel
        buffers `buffer` bytes of what the server sends, at least."""
        self.status, self.body, self.answers, self.pings = 0, b"", True, 0
        self.headers: dict[str, str] = {}
        self.closed: int | None = None
        """Status code with which the server closed the connection."""
        self._messages: deque[str | bytes] = deque()
        self._part, self._bytes = "", b""
        self._socket = socket.socket(socket.AF_UNIX if isinstance(address, Path) else socket.AF_INET)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self._socket.settimeout(20)
        self._socket.connect(str(address) if isinstance(address, Path) else address)
        self._connection = WSConnection(ConnectionType.CLIENT)
        extra = [(name.encode(), value.encode()) for name, value in headers]
        self._send(events.Request(host=host or _host(address), target=path, extra_headers=extra))
        while not self.status:
            self._read()

    def receive(self) -> dict[str, Any]:
        """Returns the next message, which is JSON. Raises EOFError if the connection ends before."""
        found: dict[str, Any] = json.loads(self.next())
        return found

    def next(self) -> str | bytes:
        """Returns the next message. Raises EOFError if the connection ends before."""
        while not self._messages:
            if self.closed is not None or not self._read():
                raise EOFError(f"closed with {self.closed}")
        return self._messages.popleft()

    def wait_closed(self) -> int | None:
        """Waits until the connection ends, and returns the status code, if any."""
        while self.closed is None and self._read():
            pass
        return self.closed

    def send(self, event: events.Event) -> None:
        self._send(event)

    def _send(self, event: events.Event) -> None:
        self._socket.sendall(self._connection.send(event))

    def _read(self) -> bool:
        data = self._socket.recv(65536)
        self._connection.receive_data(data or None)
        for event in self._connection.events():
            self._handle(event)
        return bool(data)

    def _handle(self, event: events.Event) -> None:
        match event:
            case events.AcceptConnection():
                self.status = 101
            case events.RejectConnection():
                self.status = event.status_code
                self.headers = {name.decode(): value.decode() for name, value in event.headers}
            case events.RejectData():
                self.body += event.data
            case events.TextMessage():
                self._part += event.data
                if event.message_finished:
                    self._messages.append(self._part)
                    self._part = ""
            case events.BytesMessage():
                self._bytes += bytes(event.data)
                if event.message_finished:
                    self._messages.append(self._bytes)
                    self._bytes = b""
            case events.Ping():
                self.pings += 1
                if self.answers:
                    self._send(event.response())
            case events.CloseConnection():
                self.closed = int(event.code)

    def refusal(self) -> dict[str, Any]:
        """Returns the body with which the server refused the connection."""
        while self._read():
            pass
        found: dict[str, Any] = json.loads(self.body)
        return found

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> WebSocketClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _host(address: tuple[str, int] | Path) -> str:
    return "localhost" if isinstance(address, Path) else f"{address[0]}:{address[1]}"
