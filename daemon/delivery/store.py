"""What a sink must not forget: the last event that it was sent, and its dead letters; an SQLite file per sink."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightd.daemon.delivery.sink import body_of
from sightd.daemon.events.event import Event
from sightd.engines.files import make_private, state_directory
from sightd.plugins.storage.sqlite import NotOursError, is_damaged, read_only, require_ours

_VERSION = 1
_OURS = frozenset({"progress", "dead"})
_SCHEMA = """
CREATE TABLE progress (position INTEGER NOT NULL, lost INTEGER NOT NULL, deleted INTEGER NOT NULL);
CREATE TABLE dead (id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, reason TEXT NOT NULL, event TEXT NOT NULL);
"""


class StoreError(Exception):
    """A sink's file cannot be used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that the sink refused permanently, in the form in which sinks get it. `at` is when it was given up, in
    seconds since the epoch."""

    at: float
    reason: str
    event: dict[str, Any]


class SinkStore:
    """A sink's file, open for writing by one thread at a time. After a `kill` it has everything that was stored; after
    a power cut perhaps an earlier position, so that events are sent again. `close` is idempotent."""

    def __init__(self, path: Path, begin: Callable[[], int]) -> None:
        """Creates the file if it does not exist, with the position that `begin` returns. Raises StoreError, and what
        `begin` raises."""
        self._path = path
        self._saved = (0, 0)
        self.position: int
        """Id of the last event that needs no delivery any more; `save` stores it."""
        self.lost: int
        """Events that the journal deleted before they were delivered; `save` stores it."""
        try:
            make_private(path.parent)
            if not path.exists():
                os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            require_ours(path, _OURS)
            self._connection = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error, NotOursError) as error:
            raise self._error(error) from error
        try:
            self._prepare(begin)
        except sqlite3.Error as error:
            self._connection.close()
            raise self._error(error) from error
        except BaseException:
            self._connection.close()
            raise

    def save(self) -> None:
        """Stores `position` and `lost`, if they have changed. Raises StoreError."""
        wanted = self.position, self.lost
        if wanted == self._saved:
            return
        try:
            self._connection.execute("UPDATE progress SET position = ?, lost = ?", wanted)
        except sqlite3.Error as error:
            raise self._error(error) from error
        self._saved = wanted

    def bury(self, event: Event, reason: str, most: int) -> int:
        """Stores a dead letter and its position; returns how many of the oldest were deleted so that at most `most`
        are kept. Raises StoreError, and then has changed nothing."""
        run = self._connection.execute
        try:
            run("BEGIN IMMEDIATE")
            try:
                values = time.time(), reason, body_of(event)
                run("INSERT INTO dead (at, reason, event) VALUES (?, ?, ?)", values)
                newest = "SELECT id FROM dead ORDER BY id DESC LIMIT ?"
                deleted = run(f"DELETE FROM dead WHERE id NOT IN ({newest})", (most,)).rowcount
                run("UPDATE progress SET position = ?, deleted = deleted + ?", (event.id, deleted))
                run("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    run("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise self._error(error) from error
        self.position = event.id
        return deleted

    def dead(self) -> int:
        """Returns the number of dead letters. Raises StoreError."""
        try:
            return int(self._connection.execute("SELECT count(*) FROM dead").fetchone()[0])
        except sqlite3.Error as error:
            raise self._error(error) from error

    def close(self) -> None:
        self._connection.close()

    def _prepare(self, begin: Callable[[], int]) -> None:
        run = self._connection.execute
        run("PRAGMA synchronous = NORMAL")
        run("PRAGMA journal_mode = WAL")
        version = run("PRAGMA user_version").fetchone()[0]
        if version == 0:
            position = begin()
            run("BEGIN IMMEDIATE")
            for statement in _SCHEMA.split(";"):
                run(statement)
            run("INSERT INTO progress VALUES (?, 0, 0)", (position,))
            run(f"PRAGMA user_version = {_VERSION}")
            run("COMMIT")
        elif version != _VERSION:
            raise StoreError(f"{self._path} was created by a newer sightd (format {version}): update sightd")
        self._saved = run("SELECT position, lost FROM progress").fetchone()
        self.position, self.lost = self._saved

    def _error(self, error: Exception) -> StoreError:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        if isinstance(error, NotOursError) or (isinstance(error, sqlite3.Error) and is_damaged(error)):
            return StoreError(f"{self._path}: {reason}: move it away; the sink then begins with new events")
        return StoreError(f"{self._path}: {reason}: free disk space, or give this user write permission")


def store_path(environ: Mapping[str, str], sink: str) -> Path:
    """Returns a sink's file, in the state directory."""
    return state_directory(environ) / "delivery" / f"{sink}.db"


def dead_letters(path: Path) -> list[DeadLetter]:
    """Returns the dead letters in a sink's file, oldest first, without changing it. Raises StoreError."""
    try:
        connection = sqlite3.connect(read_only(path), uri=True, timeout=5)
        try:
            rows = connection.execute("SELECT at, reason, event FROM dead ORDER BY id").fetchall()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}") from error
    return [DeadLetter(at, reason, json.loads(event)) for at, reason, event in rows]
