"""Messages between the daemon and a plug-in's process: pickles over a socket pair, some with a file descriptor.

The plug-in's process runs code that the daemon would otherwise run itself, as the same user. It is trusted equally, so
pickles are acceptable: it is isolated because of its faults, not its intentions.
"""

from __future__ import annotations

import io
import os
import pickle
import socket
import struct
from typing import Any

from sightd.plugins.api import FrameOverride

_HEAD = struct.Struct("<Q")


class GoneError(Exception):
    """The other process has ended, or the channel was closed."""


class Channel:
    """One end of a connection. One thread at a time; the receiver of a file descriptor owns it."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def fileno(self) -> int:
        return self._end.fileno()

    def be_patient(self, patience: float | None) -> None:
        """Sets the timeout in seconds for each later `send` and `receive`; None waits forever. Raises GoneError if the
        channel was closed."""
        try:
            self._end.settimeout(patience)
        except OSError as error:
            raise GoneError(str(error)) from error

    def send(self, message: object, file: int | None = None) -> None:
        """Sends a message. Raises GoneError if the other side is gone, TimeoutError as `receive` does. If pickling
        fails, nothing is sent."""
        data = _pickled(message)
        head = _HEAD.pack(len(data))
        try:
            if file is None:
                self._end.sendall(head + data)
            else:
                socket.send_fds(self._end, [head], [file])
                self._end.sendall(data)
        except TimeoutError:
            raise
        except OSError as error:
            raise GoneError(str(error)) from error

    def receive(self) -> tuple[Any, int | None]:
        """Returns the next message and the file descriptor sent with it. Raises TimeoutError if nothing arrives within
        the timeout, after which the channel is unusable; GoneError if the other side is gone."""
        files: list[int] = []
        try:
            return pickle.loads(self._data(files)), files[0] if files else None
        except BaseException:
            for file in files:
                os.close(file)
            raise

    def close(self) -> None:
        self._end.close()

    def _data(self, files: list[int]) -> bytearray:
        """Returns the next message's pickle. Adds the file descriptor that comes with its first byte to `files`."""
        try:
            head, received, _, _ = socket.recv_fds(self._end, _HEAD.size, 1)
            files += received
            if not head:
                raise GoneError("the connection was closed")
            (size,) = _HEAD.unpack(head + self._body(_HEAD.size - len(head)))
            return self._body(size)
        except TimeoutError:
            raise
        except OSError as error:
            raise GoneError(str(error)) from error

    def _body(self, size: int) -> bytearray:
        data = bytearray(size)
        rest = memoryview(data)
        while rest:
            count = self._end.recv_into(rest)
            if not count:
                raise GoneError("the connection was closed")
            rest = rest[count:]
        return data


def channel_of(descriptor: int) -> Channel:
    """Wraps the socket descriptor that this process was started with."""
    os.set_inheritable(descriptor, False)
    return Channel(socket.socket(fileno=descriptor))


class _Pickler(pickle.Pickler):
    """Pickles a `FrameOverride`, which has a lock and may be on a GPU, as its image on the host."""

    def reducer_override(self, item: object) -> Any:
        return (FrameOverride, (item.image,)) if type(item) is FrameOverride else NotImplemented


def _pickled(message: object) -> bytes:
    into = io.BytesIO()
    _Pickler(into, protocol=5).dump(message)
    return into.getvalue()
