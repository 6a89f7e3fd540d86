"""A proxy before an RTSP camera (over TCP) that can do to its stream what networks and cheap cameras do."""

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
"""SO_LINGER: a closed connection is reset."""
_CHUNK = 1024
"""Bytes that are sent at once to a throttled connection."""
_LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)

Change = Callable[[bytes], bytes]
"""Of a whole message of the camera: an RTSP answer, or an interleaved packet ("$", channel, length, RTP)."""


class FaultProxy:
    """rtsp://127.0.0.1:`port` is the camera at `target` (a port of the loopback), until something is done to it. A
    context manager. Each of the methods but `heal` begins a fault; `heal` ends it."""

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
        """Everything is well again, for connections that come from now on; those that were harmed are gone, and those
        that were to end."""
        self._silent, self._change, self._pause, self._lifetime, self._rate = False, None, 0.0, None, None
        self._cut(harmed_alone=True)
        if self._listening is None:
            self._listen()

    def refuse(self) -> None:
        """Nobody listens, and those who were connected are reset."""
        self._deafen()
        self._cut()

    def swallow(self) -> None:
        """A black hole: connections are accepted, those that stand stay, and nothing ever comes."""
        self._silent = True

    def reset(self) -> None:
        """All connections are reset in the middle of a packet; new ones are refused."""
        self._deafen()
        for connection in self._all():
            connection.half_a_packet()
        self._cut()

    def vanish(self) -> None:
        """Half-open: connections stand, and nothing comes through those that there are; new ones are refused."""
        for connection in self._all():
            connection.stalled = True
        self._deafen()

    def trickle(self) -> None:
        """One byte a second."""
        self._pause = 1.0

    def throttle(self, rate: float) -> None:
        """Every connection brings at most `rate` bytes a second; what the camera sends beyond that waits its turn. They
        stand on after `heal`, which lets the backlog through at once."""
        self._rate = rate

    def end_again_and_again(self) -> None:
        """The stream ends in order half a second after it began, each time."""
        self._lifetime = 0.5
        for connection in self._all():
            connection.end()

    def hold_answers(self) -> None:
        """What the camera answers is held back until `release_answers`, as by one that starts its stream on demand."""
        self._answering.clear()

    def release_answers(self) -> None:
        """Lets the answers through that were held back, and all later ones."""
        self._answering.set()

    @property
    def held(self) -> int:
        """How many connections wait for an answer that is held back."""
        return sum(connection.held for connection in self._all())

    def change(self, change: Change) -> None:
        """What the camera says is changed."""
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
    """One viewer's, with the camera behind it."""

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
        """As a server does it: nothing more comes, and what came is whole."""
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
        """From the viewer to the camera."""
        assert self._far is not None
        with suppress(OSError):
            while data := self._near.recv(65536):
                if not self._held():
                    self._far.sendall(data)
        self.close()

    def _back(self) -> None:
        """From the camera to the viewer."""
        assert self._far is not None
        waiting = b""
        with suppress(OSError):
            while data := self._far.recv(65536):
                waiting += data
                while (length := _whole(waiting)) and length <= len(waiting):
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
        """At once if the proxy is not throttled any more."""
        for begin in range(0, len(message), _CHUNK):
            chunk = message[begin : begin + _CHUNK]
            self._near.sendall(chunk)
            self._due = max(self._due, time.monotonic())
            while (rate := self._proxy._rate) and (left := self._due + len(chunk) / rate - time.monotonic()) > 0:
                time.sleep(min(left, 0.02))
            self._due += len(chunk) / rate if rate else 0.0

    def _held(self) -> bool:
        """Whether nothing comes through."""
        if self.stalled or self._proxy._silent:
            self.harmed = True
        return self.harmed and (self.stalled or self._proxy._silent)


def _whole(data: bytes) -> int:
    """Length of the message that `data` begins with; 0 where that is not known yet."""
    if data[:1] == b"$":
        return 4 + int.from_bytes(data[2:4], "big") if len(data) >= 4 else 0
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return 0
    found = _LENGTH.search(data[:end])
    return end + 4 + (int(found[1]) if found else 0)


def answers(message: bytes) -> bool:
    """Whether it is an RTSP answer, and no packet."""
    return message[:1] != b"$"


def garbage(message: bytes) -> bytes:
    """Every third packet of video is noise."""
    if answers(message) or message[1] != 0 or random.random() > 0.33:
        return message
    return message[:16] + random.randbytes(len(message) - 16)


def shifted(seconds: float) -> Change:
    """RTP times of video are moved."""
    ticks = round(seconds * 90000)

    def shift(message: bytes) -> bytes:
        if answers(message) or message[1] != 0 or len(message) < 16:
            return message
        stamp = (int.from_bytes(message[8:12], "big") + ticks) % (1 << 32)
        return message[:8] + stamp.to_bytes(4, "big") + message[12:]

    return shift


def replacing(old: bytes, new: bytes) -> Change:
    """A text in RTSP answers is another, of the same length."""
    assert len(old) == len(new)
    return lambda message: message.replace(old, new) if answers(message) else message
