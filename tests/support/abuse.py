"""Abusive clients: raw connections, incomplete requests, seeded fuzzing and floods."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress

_A_CONNECTION = 25
"""Messages per connection. Pure noise is sent last, because it ends the conversation."""
_AT_ONCE = 40
_NASTY = (b"\r\n", b"\x00", b"\xff" * 9, b": ", b"%n%s", b"../" * 9, b"-1", b"99999999999999999999", b"{}", b"\t")


def connect(port: int, source: str = "127.0.0.2", patience: float = 10.0) -> socket.socket:
    """Connects from the loopback address `source`, which no honest viewer uses. `patience` is the timeout in s."""
    return socket.create_connection(("127.0.0.1", port), patience, source_address=(source, 0))


def sources(count: int) -> list[str]:
    """Returns distinct loopback addresses, without 127.0.0.1, which honest viewers use."""
    return [f"127.0.{1 + number // 250}.{2 + number % 250}" for number in range(count)]


@contextmanager
def flood(port: int, addresses: Sequence[str], sent: bytes = b"") -> Iterator[list[socket.socket]]:
    """Opens a connection from each of `addresses` and sends `sent` over it, nothing more. Holds all of them until the
    context ends."""
    with ExitStack() as held:
        connections = []
        for address in addresses:
            connection = held.enter_context(connect(port, address))
            with suppress(OSError):  # the server may have closed it already
                connection.sendall(sent)
            connections.append(connection)
        yield connections


def is_open(connection: socket.socket) -> bool:
    """Whether the other side still keeps it open; received data is discarded."""
    connection.setblocking(False)
    try:
        while connection.recv(65536):
            pass
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def random_messages(seed: int, count: int, valid: Sequence[bytes]) -> list[bytes]:
    """Returns a mix of valid messages, mutations of them and pure noise. The same seed gives the same messages."""
    chance = random.Random(seed)
    return [_message(chance, chance.choice(valid)) for _ in range(count)]


def pour(port: int, messages: Sequence[bytes]) -> int:
    """Sends all messages, several over each connection, and reads the answers. Returns how many were sent."""
    parts = [messages[begin : begin + _A_CONNECTION] for begin in range(0, len(messages), _A_CONNECTION)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return sum(pool.map(_pour, [port] * len(parts), sources(len(parts)), parts))


def _pour(port: int, source: str, messages: Sequence[bytes]) -> int:
    orderly = sorted(messages, key=lambda message: not message[:3].isupper())
    with connect(port, source, 5) as connection, suppress(OSError):  # the server may hang up
        connection.sendall(b"".join(orderly))
        connection.settimeout(1)
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline and connection.recv(65536):
            pass
    return len(messages)


def _message(chance: random.Random, valid: bytes) -> bytes:
    kind = chance.random()
    if kind < 0.1:
        return chance.randbytes(chance.randrange(1, 400))
    if kind < 0.3:
        return valid
    message = bytearray(valid)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(max(1, len(message) - 1))
        match chance.randrange(4):
            case 0:
                message[at : at + 1] = chance.randbytes(1)
            case 1:
                del message[at : at + chance.randrange(1, 20)]
            case 2:
                message[at:at] = chance.choice(_NASTY)
            case _:
                message[at:at] = message[: chance.randrange(40)]
    return bytes(message) or b"\n"
