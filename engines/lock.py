"""Locks between processes, so that two of them do not fetch the same file at once, and scratch folders."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from sightd.engines.errors import EngineError

logger = logging.getLogger(__name__)


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Holds the lock file `path`, waiting for its current holder. Creates it with its folder. Only its holder
    may remove it.

    The kernel releases the lock if its holder dies, so a crash leaves no stale lock. An OSError inside the block (disk
    full, folder not writable) becomes an EngineError that names the folder.
    """
    try:
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
