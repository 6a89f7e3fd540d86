"""HTTP with a deadline for everything."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from sightd.daemon.common.deadline_http import DeadlineConnection

pytestmark = pytest.mark.waiting

_HEAD = b"HTTP/1.0 200 OK\r\n\r\n"


@contextmanager
def answering(*parts: bytes) -> Iterator[tuple[int, threading.Event]]:
    """A server that sends each part when the event is set, and then ends the connection. Yields its port, and the
    event."""
    go_on = threading.Event()

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            for part in parts:
                connection.sendall(part)
                go_on.wait(10)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1], go_on
        go_on.set()
        thread.join(10)


def test_an_answer_that_ends_with_the_connection_is_read_to_its_end() -> None:
    """http.client closes the connection when it has read the head of such an answer."""
    with answering(_HEAD, b"later") as (port, go_on):
        connection = DeadlineConnection("127.0.0.1", port, None)
        connection.until = time.monotonic() + 10
        connection.request("GET", "/")
        with closing(connection), connection.getresponse() as response:
            go_on.set()
            assert response.read() == b"later"


def test_an_answer_that_does_not_end_is_given_up_at_the_deadline() -> None:
    with answering(_HEAD) as (port, _):
        connection = DeadlineConnection("127.0.0.1", port, None)
        connection.until = time.monotonic() + 0.2
        connection.request("GET", "/")
        with closing(connection), connection.getresponse() as response, pytest.raises(TimeoutError):
            response.read()
