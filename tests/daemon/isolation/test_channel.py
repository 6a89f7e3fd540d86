"""A message's file descriptor belongs to the receiver, or is closed if the message cannot be received."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable

import pytest

from sightd.daemon.isolation.channel import Channel, GoneError


class Undecodable:
    def __reduce__(self) -> tuple[type[int], tuple[str]]:
        return int, ("not a number",)


def undecodable(end: socket.socket, file: int) -> None:
    Channel(end).send(Undecodable(), file)


def cut_off(end: socket.socket, file: int) -> None:
    socket.send_fds(end, [struct.pack("<Q", 100)], [file])
    end.close()


def cut_off_in_its_length(end: socket.socket, file: int) -> None:
    socket.send_fds(end, [b"abc"], [file])
    end.close()


@pytest.mark.parametrize(
    ("send", "error"), [(undecodable, ValueError), (cut_off, GoneError), (cut_off_in_its_length, GoneError)]
)
def test_a_message_that_cannot_be_received_leaves_no_file_open(
    send: Callable[[socket.socket, int], None], error: type[Exception]
) -> None:
    ours, theirs = socket.socketpair()
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    with ours, theirs:
        send(theirs, writer)
        os.close(writer)
        with pytest.raises(error):
            Channel(ours).receive()
        assert os.read(reader, 1) == b"", "nobody holds the other end any more"
    os.close(reader)
