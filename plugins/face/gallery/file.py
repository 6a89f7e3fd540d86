"""The gallery's file as the system has it: made for its owner alone, examined before it is changed; and in words, what
keeps it from being used."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import time
from contextlib import closing
from pathlib import Path

from plugins.face.gallery.errors import DamagedError, GalleryError
from plugins.state import make_private
from plugins.written_ahead import is_damaged, read_only

_MAGIC = b"SQLite format 3\0"
_OURS = frozenset({"meta", "persons"})
"""Tables that galleries of all versions have."""
_ATTEMPTS = 3
_PAUSE_S = 0.05
"""Another program may be writing the page that is read."""


def made(path: Path) -> bool:
    """Whether the file was made now, for its owner alone; the folder too, if it is not there. A file that is there
    already stays untouched if it is no gallery: DamagedError, GalleryError. OSError."""
    make_private(path.parent)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        examine(path)
        if not os.access(path, os.W_OK):  # SQLite would open it all the same, and tell at the first change
            raise PermissionError(errno.EACCES, "it is read-only") from None
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
        return False
    return True


def examine(path: Path) -> None:
    """DamagedError or GalleryError unless the file is a gallery, or an empty one that was just being made."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise GalleryError(f"gallery {path}: not a file: name another one")
    if found.st_size == 0:
        if found.st_mode & 0o077:
            raise GalleryError(f"gallery {path}: an empty file that is no gallery: remove it, or name another one")
        return
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise DamagedError(path, "it is no gallery, or damaged")
    _require_tables(path)


def identity(path: Path) -> tuple[int, ...] | None:
    """Changes when the file is replaced or written; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.strerror}: give another place (`gallery` of the face plug-in, --gallery), or access to it"
    text = str(error)
    if "readonly" in text or "unable to open" in text:
        return f"{text}: the user who runs this needs to read and write it and its folder"
    if "full" in text or "disk I/O" in text:
        return f"{text}: make room on the disk; it is tried again by itself"
    if "locked" in text:
        return f"{text}: another program has been writing for ten seconds; try again"
    return text


def _require_tables(path: Path) -> None:
    for attempt in range(_ATTEMPTS):
        try:
            with closing(sqlite3.connect(read_only(path), uri=True, timeout=10)) as file:
                version = file.execute("PRAGMA user_version").fetchone()[0]
                rows = file.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        except sqlite3.Error as error:
            if not is_damaged(error):
                return  # opening it for good says what is wrong
            if attempt == _ATTEMPTS - 1:
                raise DamagedError(path, f"it is damaged ({error})") from error
            time.sleep(_PAUSE_S)
            continue
        tables = {name for (name,) in rows}
        if (version or tables) and not tables >= _OURS:
            raise GalleryError(f"gallery {path} is a database of something else: name another file")
        return
