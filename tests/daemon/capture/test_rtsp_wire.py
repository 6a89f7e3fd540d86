"""The TCP connection of GStreamer's RTSP client: what is read from it and how it is closed, by either side."""

from __future__ import annotations

import os
import socket
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from sightd.daemon.capture.rtsp_wire import Wire
from tests.support.waiting import eventually

Pair = tuple[socket.socket, socket.socket]


def tcp_pair() -> Pair:
    """Returns both ends of a TCP connection."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        one = socket.create_connection(server.getsockname(), 5)
        other, _ = server.accept()
    other.settimeout(5)
    return one, other


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = tcp_pair()
    with ours, theirs:
        yield ours, theirs


class Connection:
    """Replaces a Gio.SocketConnection. `between` runs after its descriptor was requested."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.between: Callable[[], None] = lambda: None

    def weak_ref(self) -> Callable[[], Connection | None]:
        return weakref.ref(self)

    def get_socket(self) -> SimpleNamespace:
        return SimpleNamespace(get_fd=self._get_fd)

    def _get_fd(self) -> int:
        descriptor = self.descriptor
        self.between()
        return descriptor


def test_it_counts_what_came_and_cuts_the_connection(pair: Pair) -> None:
    ours, theirs = pair
    connection = Connection(ours.fileno())
    wire = Wire(connection)
    theirs.sendall(b"x" * 1234)
    eventually(lambda: wire.received() == 1234, 5, "counted")
    wire.cut()
    wire.cut()
    assert theirs.recv(1) == b""


def test_a_connection_that_is_gone_has_received_nothing_and_is_cut_already(pair: Pair) -> None:
    connection = Connection(pair[0].fileno())
    wire = Wire(connection)
    del connection
    assert wire.received() == 0
    wire.cut()


def test_a_descriptor_that_another_connection_takes_meanwhile_is_left_alone(pair: Pair) -> None:
    ours, _ = pair
    connection = Connection(ours.fileno())
    wire = Wire(connection)
    others, peer = tcp_pair()
    with others, peer:
        peer.sendall(b"x" * 99)

        def closed_and_taken() -> None:
            os.dup2(others.fileno(), ours.fileno())

        connection.between = closed_and_taken
        open_before = open_descriptors()
        assert wire.received() == 0
        wire.cut()
        assert open_descriptors() == open_before
        others.sendall(b"still open")
        assert peer.recv(64) == b"still open"


def test_a_descriptor_that_a_file_takes_meanwhile_is_left_alone(pair: Pair) -> None:
    ours, _ = pair
    connection = Connection(ours.fileno())
    wire = Wire(connection)
    with Path(os.devnull).open("rb") as file:

        def closed_and_taken() -> None:
            os.dup2(file.fileno(), ours.fileno())

        connection.between = closed_and_taken
        open_before = open_descriptors()
        wire.cut()
        assert wire.received() == 0
        assert open_descriptors() == open_before
