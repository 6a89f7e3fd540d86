"""The TCP connection of GStreamer's RTSP client: what is read from it and how it is closed, by either side."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from sightd.daemon.capture.rtsp_dialogue import Dialogue, address_of
from sightd.daemon.capture.rtsp_gstreamer import RtspConnection
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
    """Replaces a Gio.SocketConnection with that descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def get_socket(self) -> SimpleNamespace:
        return SimpleNamespace(get_fd=lambda: self._descriptor)


def test_it_counts_what_came_and_cuts_the_connection(pair: Pair) -> None:
    ours, theirs = pair
    wire = RtspConnection(Connection(ours.fileno()))
    theirs.sendall(b"x" * 1234)
    eventually(lambda: wire.received() == 1234, 5, "counted")
    wire.cut()
    wire.cut()
    assert theirs.recv(1) == b""
    wire.close()


def test_after_its_owner_closed_it_the_connection_ends_with_the_wire(pair: Pair) -> None:
    ours, theirs = pair
    wire = RtspConnection(Connection(ours.fileno()))
    ours.close()
    theirs.settimeout(0.1)
    with pytest.raises(TimeoutError):
        theirs.recv(1)
    wire.close()
    theirs.settimeout(5)
    assert theirs.recv(1) == b""


def test_a_closed_one_has_received_nothing_and_leaves_no_descriptor(pair: Pair) -> None:
    ours, theirs = pair
    before = open_descriptors()
    wire = RtspConnection(Connection(ours.fileno()))
    theirs.sendall(b"x")
    eventually(lambda: wire.received() == 1, 5, "counted")
    wire.close()
    wire.close()
    wire.cut()
    assert wire.received() == 0
    assert open_descriptors() == before


def test_what_takes_the_number_of_the_descriptor_is_left_alone(pair: Pair) -> None:
    ours, _ = pair
    wire = RtspConnection(Connection(ours.fileno()))
    others, peer = tcp_pair()
    with others, peer:
        os.dup2(others.fileno(), ours.fileno())
        wire.cut()
        wire.close()
        others.sendall(b"still open")
        assert peer.recv(64) == b"still open"


def test_a_dialogue_closes_the_connection_before_and_any_that_comes_after_its_end(pair: Pair) -> None:
    before = open_descriptors()
    dialogue = Dialogue(address_of("rtsp://camera/a"), lambda element: True)
    for _ in range(3):
        dialogue.connected(RtspConnection(Connection(pair[0].fileno())))
    assert open_descriptors() == before + 1
    dialogue.close()
    dialogue.connected(RtspConnection(Connection(pair[0].fileno())))
    assert open_descriptors() == before
    assert dialogue.received() == 0
