"""A chat completions endpoint with scripted answers, over HTTP or TLS on the loopback."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import cv2
import numpy as np

from sightd.plugins.api import Image


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it arrived."""

    path: str
    headers: Mapping[str, str]
    form: dict[str, Any]

    @property
    def text(self) -> str:
        """The prompt."""
        text: str = self.form["messages"][0]["content"][0]["text"]
        return text

    @property
    def jpeg(self) -> bytes:
        url: str = self.form["messages"][0]["content"][1]["image_url"]["url"]
        head, _, data = url.partition(",")
        assert head == "data:image/jpeg;base64"
        return base64.b64decode(data, validate=True)

    @property
    def image(self) -> Image:
        return np.asarray(cv2.imdecode(np.frombuffer(self.jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)


Reply = Callable[["Handler"], None]
"""Answers one request."""


class Handler(BaseHTTPRequestHandler):
    """One request; a reply uses `send`, or writes to `wfile` itself. `released` is set when the test is over."""

    released: threading.Event

    def send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content_Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Logs nothing."""


def saying(text: object) -> Reply:
    """Answers with a chat completion that has this content."""
    form = {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]}
    return lambda handler: handler.send(200, json.dumps(form).encode(), Content_Type="application/json")


def with_status(status: int, body: bytes = b"", **headers: str) -> Reply:
    return lambda handler: handler.send(status, body, **headers)


def hanging(handler: Handler) -> None:
    """Answers nothing until the test is over."""
    handler.released.wait()


def trickling(handler: Handler) -> None:
    """Sends a header line byte by byte, a few milliseconds apart, without an end."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Padding: ")
    while not handler.released.wait(0.01):
        handler.wfile.write(b"x")


def breaking_off(handler: Handler) -> None:
    """Announces more than it sends."""
    handler.send(200, b'{"choices"', Content_Length="1000")


class ChatServer:
    """Answers with `script`, one reply for each request; the last one is for all further requests."""

    def __init__(self, address: str, script: list[Reply]) -> None:
        self.url = f"{address}/v1"
        self.received: list[Received] = []
        self.script = script
        self._lock = threading.Lock()

    def reply_to(self, received: Received) -> Reply:
        with self._lock:
            self.received.append(received)
            return self.script.pop(0) if len(self.script) > 1 else self.script[0]


@contextmanager
def chat_server(*script: Reply, tls: Mapping[str, str] | None = None) -> Iterator[ChatServer]:
    """Runs a server that answers `script`, with the certificate and key of `tls`."""

    class Scripted(Handler):
        released = threading.Event()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            reply = chat.reply_to(Received(self.path, dict(self.headers.items()), json.loads(body)))
            try:
                reply(self)
            except OSError:
                self.close_connection = True  # the client has gone

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_args: object) -> None:
            """Clients that break off are part of the tests."""

    server = Server(("127.0.0.1", 0), Scripted)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls["certificate"], tls["key"])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    chat = ChatServer(f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}", list(script))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield chat
    finally:
        Scripted.released.set()
        server.shutdown()
        server.server_close()
