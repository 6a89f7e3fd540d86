"""The gallery's file as the system has it: made for its owner alone; and in words, what keeps it from being used."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def made(path: Path) -> bool:
    """Whether the file was made now, for its owner alone; the folder too, where it is not there. Made by root, it gets
    the folder's owner: a service with a user of its own must be able to open it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        if not os.access(path, os.W_OK):  # SQLite would open it all the same, and tell at the first change
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
    if "not a database" in text or "malformed" in text:
        return f"{text}: restore it from an export or a copy"
    return text
