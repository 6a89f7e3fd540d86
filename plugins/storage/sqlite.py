"""SQLite databases in WAL mode: opens private ones, inspects them without changes, and classifies write errors."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from sightd.engines.files import make_private

_UNWRITABLE = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN}

_MAGIC = b"SQLite format 3\0"
_ATTEMPTS, _PAUSE_S = 3, 0.05
"""Attempts and pause in s between them: another program may be writing the page being read."""
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def open_private(path: Path, tables: frozenset[str]) -> sqlite3.Connection:
    """Opens a database with `tables` for writing. Creates the folder and an empty file (mode 0600) if they do not
    exist. The connection is in autocommit mode and may be used by any thread, but by one at a time; it waits 5 s for
    another program that writes. Raises OSError, sqlite3.Error, and NotOursError if it is another program's file."""
    make_private(path.parent)
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    require_ours(path, tables)
    return sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[Callable[..., sqlite3.Cursor]]:
    """Yields `connection.execute`. Commits at the end, or rolls everything back. The connection is in autocommit
    mode. Raises sqlite3.Error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection.execute
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk has already ended the transaction
            connection.execute("ROLLBACK")
        raise


def read_only(path: Path, *, unshared: bool = False) -> str:
    """Returns a URI for `sqlite3.connect` that opens the database without changing anything. If there is no write-ahead
    log, no other program has it open and it is opened as immutable, which works in a read-only directory.

    `unshared`: also treats an empty write-ahead log as absent, such as one that SQLite left behind on a full disk. No
    other program may write to the database in the meantime.
    """
    ahead = path.with_name(path.name + "-wal")
    written_ahead = ahead.exists() and not (unshared and ahead.stat().st_size == 0)
    return f"file:{quote(os.fsencode(path))}?mode=ro" + ("" if written_ahead else "&immutable=1")


class NotOursError(Exception):
    """The file is not a database with the expected tables. The message says what it is. `damaged`: it may once have
    been such a database."""

    def __init__(self, what: str, *, damaged: bool = False) -> None:
        super().__init__(what)
        self.damaged = damaged


def require_ours(path: Path, tables: frozenset[str]) -> None:
    """Raises NotOursError unless the file at `path` is a database with `tables`, or an empty private file left by a
    program that was killed while creating one. Changes nothing. Raises OSError."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise NotOursError("not a file")
    if found.st_size == 0:
        if found.st_mode & 0o077:
            raise NotOursError("an empty file that sightd did not create")
        return
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise NotOursError("not a database, or damaged", damaged=True)
    version, known = _tables_of(path)
    if (version or known) and not known >= tables:
        raise NotOursError("a database of another program")


def _tables_of(path: Path) -> tuple[int, frozenset[str]]:
    """Returns the database's version and tables, or (0, no tables) if only opening it normally will show the error."""
    for attempt in range(_ATTEMPTS):
        try:
            with closing(sqlite3.connect(read_only(path), uri=True, timeout=10)) as file:
                version = file.execute("PRAGMA user_version").fetchone()[0]
                rows = file.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        except sqlite3.Error as error:
            if not is_damaged(error):
                break
            if attempt == _ATTEMPTS - 1:
                raise NotOursError(f"damaged ({error})", damaged=True) from error
            time.sleep(_PAUSE_S)
        else:
            return version, frozenset(name for (name,) in rows)
    return 0, frozenset()


def is_unwritable(error: Exception) -> bool:
    """Whether the disk or permissions are at fault (full, read-only, broken, unmounted), which may be temporary."""
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in _UNWRITABLE
    return isinstance(error, OSError)


def is_damaged(error: sqlite3.Error) -> bool:
    """Whether the content of the file is at fault: it is damaged or not a database."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED
