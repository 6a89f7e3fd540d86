"""Files on this machine: opened safely, replaced atomically, hashed, locked between processes; default folders."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import logging
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader, FileIO
from pathlib import Path
from typing import IO

from sightd.engines.errors import EngineError, HashMismatchError, StorageError

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


def write_private(path: Path, data: bytes, prefix: str) -> None:
    """Writes a file that only its owner can read, whole or not at all: first to a hidden file beside it, whose name
    starts with `prefix` and which remains only if the process is killed. Raises OSError."""
    descriptor, name = tempfile.mkstemp(".new", prefix, path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)  # noqa: PTH105
    except BaseException:
        with suppress(OSError):
            os.unlink(name)  # noqa: PTH108
        raise


def sync_folder(folder: Path) -> None:
    """Makes a rename in the folder survive a power cut. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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


_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class Digest:
    """The SHA-256 (hexadecimal) and size in bytes of some content."""

    sha256: str
    size: int


Version = tuple[str, int, int, int, int]


def version_of(path: Path) -> Version:
    """Returns a value that changes if the file is written to, replaced or removed, without reading it: its path, inode,
    size in bytes, and times of modification and change in ns."""
    try:
        found = path.stat()
    except OSError:
        return str(path), 0, 0, 0, 0
    return str(path), found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def digest_of(path: Path) -> Digest:
    """Reads the file once and returns its digest."""
    with path.open("rb") as file:
        return Digest(hashlib.file_digest(file, "sha256").hexdigest(), file.tell())


def copy(stream: IO[bytes], target: Path, *, limit: int, advanced: Callable[[int], None]) -> Digest:
    """Writes `stream` to `target`, and calls `advanced` with the number of bytes copied so far. Raises EngineError
    after `limit` bytes, and StorageError if `target` cannot be written."""
    digest = hashlib.sha256()
    size = 0
    with _opened(target) as out:
        while chunk := stream.read(_CHUNK):
            size += len(chunk)
            if size > limit:
                raise EngineError(f"exceeds the limit of {limit:,} bytes: stopped")
            digest.update(chunk)
            with _stored():
                _write_all(out, chunk)
            advanced(size)
    return Digest(digest.hexdigest(), size)


def _opened(target: Path) -> IO[bytes]:
    with _stored():
        return target.open("wb", buffering=0)


def _write_all(out: IO[bytes], data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[out.write(left) :]


@contextmanager
def _stored() -> Iterator[None]:
    """Converts errors of the target to StorageError, to distinguish them from errors of the source."""
    try:
        yield
    except OSError as error:
        raise StorageError(error.errno, error.strerror, error.filename) from error


def require(got: Digest, sha256: str, what: str) -> None:
    """Raises HashMismatchError unless the SHA-256 of `got` equals the pinned `sha256`."""
    if got.sha256 != sha256:
        raise HashMismatchError(
            f"{what}: rejected: its {got.size:,} bytes have sha256 {got.sha256}, but {sha256} is pinned"
        )


logger = logging.getLogger(__name__)


@contextmanager
def lock_file(path: Path, what: str) -> Iterator[None]:
    """Holds the lock file `path`, waiting for its current holder. Creates it with its folder. Only its holder
    may remove it.

    The kernel releases the lock if its holder dies, so a crash leaves no stale lock. Raises OSError if the file cannot
    be created.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("ab") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                logger.info("%s: waiting for another process that is working on it", what)
                fcntl.flock(handle, fcntl.LOCK_EX)
            if is_current(handle, path):
                yield
                return


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Like `lock_file`, for a block that only stores files: an OSError inside it (disk full, folder not writable)
    becomes an EngineError that names the folder."""
    try:
        with lock_file(path, what):
            yield
    except OSError as error:
        raise EngineError(
            f"{what} cannot be stored in {path.parent}: {error.strerror or error}. Free disk space, make the "
            "folder writable, or set SIGHTD_CACHE_DIR"
        ) from error


def is_current(handle: IO[bytes], path: Path) -> bool:
    """Returns whether an open lock file is still the one at `path`. A holder may remove it; a lock on a removed file
    excludes nobody."""
    try:
        return os.path.samestat(os.fstat(handle.fileno()), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def scratch_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Provides an empty folder in `parent` and removes it at the end. Also removes folders with the same prefix that
    killed processes left, so the caller must hold a lock shared by all users of the prefix. Raises OSError."""
    for left in parent.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    folder = parent / f"{prefix}{os.getpid()}"
    try:  # a signal may raise as soon as the folder exists
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class NoHomeError(Exception):
    """The user has no home directory, and no environment variable names the folder."""


def cache_directory(environ: Mapping[str, str]) -> Path:
    """Returns sightd's cache folder: $SIGHTD_CACHE_DIR, else systemd's $CACHE_DIRECTORY, else the user's XDG cache."""
    if own := environ.get("SIGHTD_CACHE_DIR"):
        return expanded(own)
    if systemd := environ.get("CACHE_DIRECTORY"):
        return Path(systemd.split(":")[0])
    if xdg := environ.get("XDG_CACHE_HOME"):
        return Path(xdg) / "sightd"
    return home_directory(environ, "SIGHTD_CACHE_DIR") / ".cache" / "sightd"


def home_directory(environ: Mapping[str, str], otherwise: str) -> Path:
    """Returns the user's home directory. Raises NoHomeError, which suggests setting the variable `otherwise`
    instead."""
    if home := environ.get("HOME"):
        return Path(home)
    try:
        return Path.home()
    except RuntimeError:
        raise NoHomeError(f"user {os.getuid()} has no home directory; set {otherwise}, or HOME") from None


def expanded(path: str | Path) -> Path:
    """Expands a leading `~` or `~user`. If the user is unknown, the path is left unchanged, as in a shell."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 — pathlib's version raises for unknown users


def state_directory(environ: Mapping[str, str]) -> Path:
    """Returns $SIGHTD_STATE_DIR, or the state directory that systemd assigns to the service, or the user's own."""
    if folder := environ.get("SIGHTD_STATE_DIR"):
        return expanded(folder)
    if folder := environ.get("STATE_DIRECTORY"):
        return Path(folder.partition(":")[0])  # systemd may pass a colon-separated list
    if folder := environ.get("XDG_STATE_HOME"):
        return Path(folder) / "sightd"
    return home_directory(environ, "SIGHTD_STATE_DIR") / ".local/state/sightd"


def make_private(folder: Path) -> None:
    """Creates a directory and its missing parents with mode 0700, whatever the umask. Raises OSError."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)
