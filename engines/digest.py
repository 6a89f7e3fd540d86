"""SHA-256 digests: hashing, size-limited copying and comparison with a pinned hash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sightd.engines.errors import EngineError, HashMismatchError, StorageError

_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class Digest:
    """The SHA-256 (hexadecimal) and size in bytes of some content."""

    sha256: str
    size: int


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
