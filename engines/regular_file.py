"""Opens and reads regular files only: a FIFO, a device or a directory in their place can neither block nor flood. Files
are written whole, or not left behind."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFDIR: "a directory",
    stat.S_IFSOCK: "a socket",
}


def open_regular(path: Path) -> BinaryIO:
    """Opens a file for reading. OSError if it is not a regular file, found out without waiting for a writer."""
    _require_regular(path, path.stat().st_mode)  # first, so that a device is not even opened
    file = open(path, "rb", opener=_open_without_waiting)  # noqa: SIM115 (the opener; the caller closes it)
    try:
        _require_regular(path, os.fstat(file.fileno()).st_mode)
    except BaseException:
        file.close()
        raise
    return file


def read_regular(path: Path, limit: int) -> bytes:
    """Reads a regular file of at most `limit` bytes. OSError otherwise (EFBIG if it is larger); its `strerror` says
    what is wrong."""
    with open_regular(path) as file:
        too_large = os.fstat(file.fileno()).st_size > limit
        content = b"" if too_large else file.read(limit + 1)
    if too_large or len(content) > limit:
        raise OSError(errno.EFBIG, f"larger than {_size(limit)}", str(path))
    return content


def require_regular(path: Path) -> None:
    """OSError unless `path` is a regular file that can be read."""
    open_regular(path).close()


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


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def _require_regular(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise OSError(errno.EINVAL, f"{kind}, not a regular file", str(path))


def _size(limit: int) -> str:
    return f"{limit // 2**20} MiB" if limit >= 2**20 else f"{limit // 2**10} KiB"
