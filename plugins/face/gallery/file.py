"""The gallery's file: created for its owner only, examined before it is changed; and advice for file errors."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from sightd.plugins.face.gallery.errors import DamagedError, GalleryError
from sightd.plugins.state import make_private
from sightd.plugins.written_ahead import NotOursError, require_ours

_OURS = frozenset({"meta", "persons"})
"""Tables that galleries of all versions have."""


def made(path: Path) -> bool:
    """Creates the file, and its directory if missing, accessible to the owner only; returns whether the file is new. If
    created by root, it gets the directory's owner, so that a service with its own user can open it. An existing file
    that is not a gallery is left untouched: raises DamagedError or GalleryError. Raises OSError."""
    make_private(path.parent)
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        _examine(path)
        if not os.access(path, os.W_OK):  # SQLite would open it anyway, and only fail at the first change
            raise PermissionError(errno.EACCES, "it is read-only") from None
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
        return False
    try:
        if os.geteuid() == 0:
            folder = path.parent.stat()
            os.fchown(descriptor, folder.st_uid, folder.st_gid)
    finally:
        os.close(descriptor)
    return True


def identity(path: Path) -> tuple[int, ...] | None:
    """Returns a value that changes when the file is replaced or written; None if there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{error.strerror}: make room on the disk"
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


def _examine(path: Path) -> None:
    try:
        require_ours(path, _OURS)
    except NotOursError as error:
        if error.damaged:
            raise DamagedError(path, f"it is {error}") from error
        raise GalleryError(f"gallery {path}: it is {error}: name another file, or remove this one") from error
