"""Files that somebody named: read only if they are files (a device, a pipe or a folder is refused before it is read),
and written whole or not left behind."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}


class NotRegularError(OSError):
    """The path is no regular file; the message says what it is ("a named pipe")."""

    def __init__(self, mode: int) -> None:
        super().__init__(_KINDS.get(stat.S_IFMT(mode), "a device"))
        self.strerror = f"{self.args[0]}, not a file"


def read_regular(path: Path, most: int) -> bytes:
    """The first `most` bytes of a regular file; never waits for a writer. Raises NotRegularError, and OSError if the
    file cannot be read."""
    require_regular(path.stat().st_mode)  # opening a device may already do something
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(_checked(descriptor), "rb") as file:
        return file.read(most)


def require_regular(mode: int) -> None:
    """Raises NotRegularError unless `mode` (`os.stat_result.st_mode`) is that of a regular file."""
    if not stat.S_ISREG(mode):
        raise NotRegularError(mode)


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file; if that fails, as on a full disk, the part that was written is removed. Raises OSError."""
    left = memoryview(data)
    with path.open("wb", buffering=0) as file:
        try:
            while left:
                left = left[file.write(left) :]
        except OSError:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                path.unlink(missing_ok=True)
            raise


def _checked(descriptor: int) -> int:
    try:
        require_regular(os.fstat(descriptor).st_mode)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
