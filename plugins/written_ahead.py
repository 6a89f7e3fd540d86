"""SQLite databases that are written ahead (WAL): how they are read without being changed, and what keeps one from being
written."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

_UNWRITABLE = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN}

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def read_only(path: Path) -> str:
    """The address (a `uri` of sqlite3.connect) under which SQLite reads a database and changes nothing. Where nothing
    is written ahead nobody has it open, and it is read as a file that does not change: its folder may be read-only."""
    written_ahead = path.with_name(path.name + "-wal").exists()
    return f"file:{quote(os.fsencode(path))}?mode=ro" + ("" if written_ahead else "&immutable=1")


def is_unwritable(error: Exception) -> bool:
    """Whether it is the disk or the permission that fails (full, read-only, broken, away), which may pass."""
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in _UNWRITABLE
    return isinstance(error, OSError)


def is_damaged(error: sqlite3.Error) -> bool:
    """Whether it is the file's content that fails: it is damaged, or no database."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED
