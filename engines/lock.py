"""A lock between processes, so that two of them do not fetch the same file at once, and folders for what is being
made."""

from __future__ import annotations

import fcntl
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sightd.engines.errors import EngineError

logger = logging.getLogger(__name__)


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Holds the lock file `path` (made with its folder where absent, never removed); waits for whoever holds it.

    The kernel lets go of it when its holder dies, so a crash leaves nothing behind that blocks. An OSError inside (the
    disk is full, the folder cannot be written) becomes an EngineError that names the folder.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                logger.info("%s: another process is at it, waiting for it", what)
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise EngineError(
            f"{what} cannot be stored in {path.parent}: {error.strerror or error}. "
            "Make room there, make it writable, or set SIGHTD_CACHE_DIR"
        ) from error


@contextmanager
def scratch_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """An empty folder in `parent`, removed at the end. Removes those of the same prefix that killed processes left, so
    the caller holds a lock that all users of the prefix share. Raises OSError."""
    for left in parent.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=parent) as folder:
        yield Path(folder)
