"""A real HTTP server on the loopback that serves bytes and can misbehave in defined ways."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase


@dataclass
class FileServer:
    """`files` by path; `requests` are the requested paths.

    `cut` truncates a response after so many bytes; `drip` sends the first 100 bytes of it, "headers" or "body", one by
    one, so many seconds apart; `patience` is how long (s) a response waits for a second request.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    cut: int | None = None
    without_length: bool = False
    patience: float = 0.0
    drip: tuple[str, float] = ("", 0.0)
    port: int = 0
    scheme: str = "http"
    asked: threading.Condition = field(default_factory=threading.Condition)

    def url(self, path: str) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}{path}"


@contextmanager
def file_server(tls: Mapping[str, str] | None = None) -> Iterator[FileServer]:
    """Serves until the end of the context; over TLS if `tls` has the paths of a `certificate` and its `key`."""
    state = FileServer(scheme="https" if tls else "http")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with state.asked:
                state.requests.append(self.path)
                state.asked.notify_all()
                state.asked.wait_for(lambda: len(state.requests) > 1, state.patience)
            body = state.files.get(self.path)
            if body is None:
                self.send_error(404)
                return
            part, pause = state.drip
            try:
                if part == "headers":
                    head = f"HTTP/1.0 200 OK\r\nX-Padding: {'x' * 100}\r\nContent-Length: {len(body)}\r\n\r\n"
                    _write_slowly(self.wfile, head.encode(), pause)
                    self.wfile.write(body)
                    return
                self.send_response(200)
                if not state.without_length:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if part == "body":
                    _write_slowly(self.wfile, body, pause)
                else:
                    self.wfile.write(body[: state.cut])
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the client gave up

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls["certificate"], tls["key"])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    state.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="file-server")
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()


def _write_slowly(stream: BufferedIOBase, data: bytes, pause: float) -> None:
    for byte in data[:100]:
        stream.write(bytes([byte]))
        time.sleep(pause)
    stream.write(data[100:])
