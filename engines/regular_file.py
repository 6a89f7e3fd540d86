"""Opens and reads only regular files, so that a FIFO, device or directory cannot block or flood the process. Replaces
files atomically."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from contextlib import suppress
from io import BufferedReader, FileIO
from pathlib import Path

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFDIR: "a directory",
    stat.S_IFSOCK: "a socket",
}


def open_regular(path: Path) -> BufferedReader:
    """Opens a file for reading without ever waiting for a writer. Raises OSError if it is not a regular file."""
    _require_regular(path, path.stat().st_mode)  # first, so that a device is not even opened
    file = open(path, "rb", opener=_open_without_waiting)  # noqa: SIM115 (the opener; the caller closes it)
    try:
        _require_regular(path, os.fstat(file.fileno()).st_mode)
    except BaseException:
        file.close()
        raise
    return file


def read_regular(path: Path, limit: int) -> bytes:
    """Reads a regular file of at most `limit` bytes. Otherwise raises OSError (EFBIG if it is larger), whose `strerror`
    says what is wrong."""
    with open_regular(path) as file:
        too_large = os.fstat(file.fileno()).st_size > limit
        content = b"" if too_large else file.read(limit + 1)
    if too_large or len(content) > limit:
        raise OSError(errno.EFBIG, f"larger than {_size(limit)}", str(path))
    return content


def require_regular(path: Path) -> None:
    """Raises OSError unless `path` is a regular file that can be opened for reading."""
    open_regular(path).close()


def irregular_kind(path: Path) -> str | None:
    """Returns what `path` is ("a named pipe", "a directory") if it exists and is not a regular file. Does not
    open it."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return None
    return None if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "something else")


class Replacement:
    """A file being written. If `path` already is a regular file with content, the data goes to a hidden file beside it,
    and the old content stays until `commit`. Otherwise `path` itself is written.

    `file` is unbuffered, so a write may take only part of the data. Use it from one thread, and finish with `commit` or
    `discard`.
    """

    def __init__(self, path: Path) -> None:
        """Creates the file. Raises OSError if it cannot be created."""
        self._path = Path(os.path.realpath(path))  # a symbolic link keeps pointing to the file
        before = _status(self._path)
        self.replaces = before is not None and stat.S_ISREG(before.st_mode) and before.st_size > 0
        """Whether `path` has content that is kept until `commit`."""
        self._written = self._path
        if self.replaces and before is not None:
            self._path.open("ab").close()  # require write permission, as if the file were overwritten
            descriptor, name = tempfile.mkstemp(".new", ".", self._path.parent)
            self._written = Path(name)
            with suppress(OSError):  # not every file system has owners and modes
                os.fchown(descriptor, before.st_uid, before.st_gid)
                os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
            self.file = FileIO(descriptor, "wb")
        else:
            self.file = FileIO(self._path, "wb")
        self._is_regular = stat.S_ISREG(os.fstat(self.file.fileno()).st_mode)

    def write_all(self, data: bytes) -> None:
        """Writes all of `data`. Raises OSError."""
        left = memoryview(data)
        while left:
            left = left[self.file.write(left) :]

    def commit(self) -> None:
        """Closes the file and moves it into place. If that fails, discards it and raises OSError."""
        try:
            if self.replaces:
                os.fsync(self.file.fileno())
            self.file.close()
            if self.replaces:
                self._written.replace(self._path)
        except OSError:
            self.discard()
            raise

    def discard(self) -> None:
        """Closes and removes the new file. Content that was kept at `path` stays."""
        with suppress(OSError):
            self.file.close()
        if self._is_regular:
            with suppress(OSError):
                self._written.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file. If that fails (for example, the disk is full), nothing is left of the new file, and an existing
    file with content is unchanged. Raises OSError."""
    new = Replacement(path)
    try:
        new.write_all(data)
    except BaseException:
        new.discard()
        raise
    new.commit()


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def _require_regular(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise OSError(errno.EINVAL, f"{kind}, not a regular file", str(path))


def _size(limit: int) -> str:
    return f"{limit // 2**20} MiB" if limit >= 2**20 else f"{limit // 2**10} KiB"
