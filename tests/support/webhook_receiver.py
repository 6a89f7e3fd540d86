"""A real HTTP server that receives events and answers in defined ways."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.waiting import BUSY


@dataclass(frozen=True, slots=True)
class Received:
    """A request that the receiver has read completely."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(self.body)
        return event


Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """What an answer writes with."""

    protocol_version = "HTTP/1.1"
    receiver: WebhookReceiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = self.receiver.received(Received(self.path, dict(self.headers), body))
        try:
            answer(self)
        except OSError:
            self.close_connection = True  # the client gave up

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def status(code: int, **headers: str) -> Answer:
    """Answers with a status, without a body."""

    def answer(handler: Handler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def cut(handler: Handler) -> None:
    """Closes the connection without an answer, although the event has been received."""
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


class WebhookReceiver:
    """Listens on the loopback; a context manager. `answers` are used one by one, then `usual`."""

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.answers: list[Answer] = []
        self.usual: Answer = status(204)
        self.connections = 0
        self._changed = threading.Condition()
        self._released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("OwnHandler", (Handler,), {"receiver": self}))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="webhook-receiver")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/hook?key=4711"

    @property
    def ids(self) -> list[int]:
        """Ids of the events in the order in which they arrived."""
        return [one.event["id"] for one in list(self.requests)]

    def received(self, request: Received) -> Answer:
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
            return self.answers.pop(0) if self.answers else self.usual

    def hang(self, handler: Handler) -> None:
        """Does not answer; closes the connection after `release`, or when the receiver is closed."""
        self._released.wait()
        handler.close_connection = True

    def release(self) -> None:
        """Ends the requests that hang."""
        self._released.set()

    def wait_for(self, condition: Callable[[], bool], within: float = 10.0) -> None:
        """Returns as soon as the condition holds after a request. Raises AssertionError if it does not in time."""
        with self._changed:
            assert self._changed.wait_for(condition, BUSY * within), f"not within {BUSY * within:g} s: {self.ids}"

    def __enter__(self) -> WebhookReceiver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._server.shutdown()
        self._thread.join(5)
        self._server.server_close()
