"""Writes events as lines of JSON, to standard output or to a file."""

from __future__ import annotations

import contextlib
import os
import select
import stat
import time
from pathlib import Path

from sightd.daemon.config.delivery import JsonlOptions
from sightd.daemon.delivery.sink import UnavailableError, body_of
from sightd.daemon.events.event import Event

_STDOUT = 1


class LinesOnStdout:
    """A `Sink` that writes to standard output. A reader that does not read delays only this sink."""

    idle_interval: float | None = None

    def __init__(self, options: JsonlOptions) -> None:
        self._timeout = options.timeout
        self._id = 0
        self._rest = b""
        """What is left to write of event `_id`: the next attempt completes its line."""
        self._aborted = False

    def keep_alive(self) -> None:
        pass

    def send(self, event: Event) -> None:
        if self._id != event.id:
            self._id, self._rest = event.id, body_of(event).encode() + b"\n"
        until = time.monotonic() + self._timeout
        while self._rest:
            if not _is_writable(min(0.2, until - time.monotonic())):
                if self._aborted or time.monotonic() >= until:
                    raise UnavailableError(f"nobody reads standard output; it was full for {self._timeout:g} s")
                continue
            try:  # after poll, a pipe takes this much without waiting
                self._rest = self._rest[os.write(_STDOUT, self._rest[: select.PIPE_BUF]) :]
            except OSError as error:
                raise UnavailableError(f"standard output: {error.strerror}") from error

    def close(self) -> None:
        pass

    def abort(self) -> None:
        self._aborted = True


def _is_writable(within: float) -> bool:
    poll = select.poll()
    poll.register(_STDOUT, select.POLLOUT)
    return bool(poll.poll(max(0.0, within) * 1000))


class LinesInFile:
    """A `Sink` that appends to a file and has the disk store each line. If the file is renamed or deleted, a new one
    begins. Lines are whole: one that could not be written completely is removed."""

    idle_interval: float | None = None

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def keep_alive(self) -> None:
        pass

    def send(self, event: Event) -> None:
        try:
            self._append(self._opened(), body_of(event).encode() + b"\n")
        except OSError as error:
            self.close()
            raise UnavailableError(f"{self._path}: {error.strerror}") from error

    def close(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.close(self._file)
            self._file = None

    def abort(self) -> None:
        pass

    def _opened(self) -> int:
        if self._file is not None and not _is_at(self._file, self._path):
            self.close()
        if self._file is None:
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
            self._file = os.open(self._path, flags, 0o600)
            status = os.fstat(self._file)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(0, "not a regular file; write a path of a file")
            if status.st_size and os.pread(self._file, 1, status.st_size - 1) != b"\n":
                os.write(self._file, b"\n")  # half a line, cut by a power failure
        return self._file

    @staticmethod
    def _append(file: int, line: bytes) -> None:
        size = os.fstat(file).st_size
        try:
            if os.write(file, line) < len(line):
                raise OSError(0, "the disk is full; free disk space")
            os.fdatasync(file)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(file, size)
            raise


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except OSError:
        return False
