"""A proxy in front of an RTSP camera (over TCP) that simulates faults of networks and cheap cameras."""

from __future__ import annotations

import random
import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER value that makes `close` reset the connection."""
_CHUNK = 1024
"""Bytes per write to a throttled connection."""
_LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)

Change = Callable[[bytes], bytes]
"""Changes one whole message from the camera: an RTSP response, or an interleaved packet ("$", channel, length, RTP)."""


class FaultProxy:
    """Forwards rtsp://127.0.0.1:`port` to the camera at `target` (a port of the loopback); a context manager. `heal`
    ends the faults that the other methods begin; held responses end with `release_answers`."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._connections: list[_Connection] = []
        self._listening: socket.socket | None = None
        self._silent = False
        self._change: Change | None = None
        self._pause = 0.0
        self._rate: float | None = None
        self._lifetime: float | None = None
        self._answering = threading.Event()
        self._answering.set()
        self.port = 0

    def heal(self) -> None:
        """Ends all faults for new connections. Closes the connections that were affected by a fault, or were about to
        be ended by one."""
        self._silent, self._change, self._pause, self._lifetime, self._rate = False, None, 0.0, None, None
        self._cut(harmed_alone=True)
        if self._listening is None:
            self._listen()

    def refuse(self) -> None:
        """Refuses new connections and resets all existing ones."""
        self._deafen()
        self._cut()

    def swallow(self) -> None:
        """Becomes a black hole: accepts connections and keeps existing ones, but passes no data."""
        self._silent = True

    def reset(self) -> None:
        """Resets all connections in the middle of a packet and refuses new ones."""
        self._deafen()
        for connection in self._all():
            connection.half_a_packet()
        self._cut()

    def vanish(self) -> None:
        """Leaves connections half-open: existing ones stay but pass no data; new ones are refused."""
        for connection in self._all():
            connection.stalled = True
        self._deafen()

    def trickle(self) -> None:
        """Passes one byte a second from the camera."""
        self._pause = 1.0

    def throttle(self, rate: float) -> None:
        """Limits every connection to `rate` bytes a second from the camera; further data queues up. Connections survive
        `heal`, which releases the backlog at once."""
        self._rate = rate

    def end_again_and_again(self) -> None:
        """Ends the stream in an orderly way half a second after each connection begins; existing streams at once."""
        self._lifetime = 0.5
        for connection in self._all():
            connection.end()

    def hold_answers(self) -> None:
        """Holds back the camera's responses until `release_answers`, like a camera that starts its stream on demand."""
        self._answering.clear()

    def release_answers(self) -> None:
        """Releases the responses that were held back, and passes all later ones."""
        self._answering.set()

    @property
    def held(self) -> int:
        """How many connections are waiting for a held response."""
        return sum(connection.held for connection in self._all())

    def change(self, change: Change) -> None:
        """Applies `change` to every message from the camera."""
        self._change = change

    def __enter__(self) -> FaultProxy:
        self._listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deafen()
        self._cut()
        self.release_answers()

    def _listen(self) -> None:
        self._listening = listening = socket.create_server(("127.0.0.1", self.port))
        self.port = listening.getsockname()[1]
        threading.Thread(target=self._accept, args=(listening,), name="fault-proxy", daemon=True).start()

    def _accept(self, listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listening.accept()
                if self._listening is not listening:
                    near.close()
                    return
                with self._lock:
                    self._connections.append(connection := _Connection(self, near, self._target))
                    if (lifetime := self._lifetime) is not None:
                        connection.harmed = True
                        threading.Timer(lifetime, connection.end).start()

    def _deafen(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            listening.close()

    def _all(self) -> list[_Connection]:
        with self._lock:
            return list(self._connections)

    def _cut(self, *, harmed_alone: bool = False) -> None:
        for connection in self._all():
            if connection.harmed or not harmed_alone:
                connection.close()
                with self._lock:
                    self._connections.remove(connection)


class _Connection:
    """One viewer's connection, and the matching one to the camera."""

    def __init__(self, proxy: FaultProxy, near: socket.socket, target: int) -> None:
        self._proxy, self._near = proxy, near
        self.stalled = self.harmed = self.held = False
        self._due = 0.0
        self._far: socket.socket | None = None
        with suppress(OSError):
            self._far = socket.create_connection(("127.0.0.1", target), timeout=5)
            self._far.settimeout(None)
        if self._far is None:
            self.close()
            return
        for work in (self._there, self._back):
            threading.Thread(target=work, name="fault-proxy", daemon=True).start()

    def half_a_packet(self) -> None:
        self.stalled = self.harmed = True
        with suppress(OSError):
            self._near.sendall(b"$\0\x05\0" + bytes(100))

    def end(self) -> None:
        """Ends the stream like a server: no more data comes, and what was sent is complete."""
        self.stalled = self.harmed = True
        with suppress(OSError):
            self._near.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        with suppress(OSError):
            self._near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        for end in (self._near, self._far):
            if end is not None:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def _there(self) -> None:
        """Forwards from the viewer to the camera."""
        assert self._far is not None
        with suppress(OSError):
            while data := self._near.recv(65536):
                if not self._held():
                    self._far.sendall(data)
        self.close()

    def _back(self) -> None:
        """Forwards from the camera to the viewer."""
        assert self._far is not None
        waiting = b""
        with suppress(OSError):
            while data := self._far.recv(65536):
                waiting += data
                while (length := message_length(waiting)) and length <= len(waiting):
                    message, waiting = waiting[:length], waiting[length:]
                    self._give(message)
        self.close()

    def _give(self, message: bytes) -> None:
        if self._held():
            return
        if answers(message) and not self._proxy._answering.is_set():
            self.held = True
            self._proxy._answering.wait()
            self.held = False
        if change := self._proxy._change:
            self.harmed = True
            message = change(message)
        if self._proxy._pause:
            self.harmed = True
            for n in range(len(message)):
                self._near.sendall(message[n : n + 1])
                time.sleep(self._proxy._pause)
                if not self._proxy._pause:
                    return
            return
        self._send_slowly(message)

    def _send_slowly(self, message: bytes) -> None:
        """Sends at the throttled rate, or at once when the proxy is no longer throttled."""
        for begin in range(0, len(message), _CHUNK):
            chunk = message[begin : begin + _CHUNK]
            self._near.sendall(chunk)
            self._due = max(self._due, time.monotonic())
            while (rate := self._proxy._rate) and (left := self._due + len(chunk) / rate - time.monotonic()) > 0:
                time.sleep(min(left, 0.02))
            self._due += len(chunk) / rate if rate else 0.0

    def _held(self) -> bool:
        """Whether data is withheld. Marks the connection as affected by a fault if so."""
        if self.stalled or self._proxy._silent:
            self.harmed = True
        return self.harmed and (self.stalled or self._proxy._silent)


def message_length(data: bytes) -> int:
    """Returns the length of the message that `data` begins with; 0 if that is not known yet."""
    if data[:1] == b"$":
        return 4 + int.from_bytes(data[2:4], "big") if len(data) >= 4 else 0
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return 0
    found = _LENGTH.search(data[:end])
    return end + 4 + (int(found[1]) if found else 0)


def answers(message: bytes) -> bool:
    """Whether the message is an RTSP response rather than a packet."""
    return message[:1] != b"$"


def garbage(message: bytes) -> bytes:
    """Replaces the payload of about every third video packet with noise."""
    if answers(message) or message[1] != 0 or random.random() > 0.33:
        return message
    return message[:16] + random.randbytes(len(message) - 16)


def shifted(seconds: float) -> Change:
    """Returns a change that shifts the RTP timestamps of video."""
    ticks = round(seconds * 90000)

    def shift(message: bytes) -> bytes:
        if answers(message) or message[1] != 0 or len(message) < 16:
            return message
        stamp = (int.from_bytes(message[8:12], "big") + ticks) % (1 << 32)
        return message[:8] + stamp.to_bytes(4, "big") + message[12:]

    return shift


def replacing(old: bytes, new: bytes) -> Change:
    """Returns a change that replaces a text in RTSP responses with another of the same length."""
    assert len(old) == len(new)
    return lambda message: message.replace(old, new) if answers(message) else message
