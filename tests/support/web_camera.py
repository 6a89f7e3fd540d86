"""A web server whose responses a test writes byte by byte, like ordinary, broken and hostile cameras."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True, slots=True)
class Request:
    """A request and when it came (monotonic s)."""

    path: str
    headers: Message
    at: float
    client: tuple[str, int]


Answer = Callable[[Request], Iterable[bytes]]
"""Returns the bytes of a response, including status line and headers. The connection ends with it unless it has a
length."""


@dataclass
class WebCamera:
    """Its port on the loopback, the requests it got, and how many bytes it could send."""

    port: int = 0
    scheme: str = "http"
    requests: list[Request] = field(default_factory=list)
    sent: int = 0

    def url(self, path: str, credentials: str = "", host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{credentials}{host}:{self.port}{path}"

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.requests]


def answer(
    body: bytes = b"", content_type: str = "image/jpeg", status: str = "200 OK", headers: Iterable[str] = ()
) -> bytes:
    """Returns a complete response with a Content-Length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def endless(content_type: str) -> bytes:
    """Returns the header of a response without a length."""
    return f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nConnection: close\r\n\r\n".encode()


@contextmanager
def web_camera(give: Answer, tls: ssl.SSLContext | None = None) -> Iterator[WebCamera]:
    """Serves the responses of `give` until the context ends; over TLS if `tls` is given."""
    camera, stopping = WebCamera(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def do_GET(self) -> None:
            request = Request(self.path, self.headers, time.monotonic(), self.client_address)
            camera.requests.append(request)
            first = b""
            with suppress(OSError):
                for data in give(request):
                    first = first or data
                    self.connection.sendall(data)
                    camera.sent += len(data)
                    if stopping.is_set():
                        break
            self.close_connection = b"Content-Length" not in first

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        camera.port = server.server_port
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
            camera.scheme = "https"
        threading.Thread(target=server.serve_forever, args=(0.05,), name="web-camera", daemon=True).start()
        try:
            yield camera
        finally:
            stopping.set()
            server.shutdown()
