"""What a sink must not forget: the last event that it was sent, and its dead letters; an SQLite file per sink."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightd.daemon.delivery.sink import body_of
from sightd.daemon.events.event import Event
from sightd.engines.files import state_directory
from sightd.plugins.storage.sqlite import NotOursError, is_damaged, open_private, read_only, transaction

_VERSION = 2
_OURS = frozenset({"progress", "dead"})
_SCHEMA = """
CREATE TABLE progress (position INTEGER NOT NULL, lost INTEGER NOT NULL, deleted INTEGER NOT NULL);
CREATE TABLE dead (id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, reason TEXT NOT NULL, event TEXT NOT NULL);
"""
_FROM_VERSION_1 = """
ALTER TABLE dead ADD COLUMN retry INTEGER NOT NULL DEFAULT 0;
CREATE INDEX dead_to_retry ON dead (json_extract(event, '$.id')) WHERE retry;
"""


class StoreError(Exception):
    """A sink's file cannot be used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that the sink refused permanently, in the form in which sinks get it. `at` is when it was given up, in
    seconds since the epoch; `retry`: it is to be sent again. `number` identifies it in its file."""

    at: float
    reason: str
    event: dict[str, Any]
    retry: bool = False
    number: int = 0

    def for_json(self) -> dict[str, Any]:
        return {"at": self.at, "reason": self.reason, "retry": self.retry, "event": self.event}


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
            self._connection = open_private(path, _OURS)
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
        try:
            with transaction(self._connection) as run:
                values = time.time(), reason, body_of(event)
                run("INSERT INTO dead (at, reason, event) VALUES (?, ?, ?)", values)
                newest = "SELECT id FROM dead ORDER BY id DESC LIMIT ?"
                deleted = run(f"DELETE FROM dead WHERE id NOT IN ({newest})", (most,)).rowcount
                run("UPDATE progress SET position = ?, deleted = deleted + ?", (event.id, deleted))
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

    def next_retry(self) -> DeadLetter | None:
        """Returns the dead letter to send again next: that of the oldest event. Raises StoreError."""
        query = f"{_LETTERS} WHERE retry ORDER BY json_extract(event, '$.id') LIMIT 1"
        try:
            row = self._connection.execute(query).fetchone()
        except sqlite3.Error as error:
            raise self._error(error) from error
        return None if row is None else _letter(row)

    def remove(self, letter: DeadLetter) -> None:
        """Removes a dead letter, because it was delivered. Raises StoreError."""
        self._change("DELETE FROM dead WHERE id = ?", letter.number)

    def keep(self, letter: DeadLetter, reason: str) -> None:
        """Keeps a dead letter that was refused again. Raises StoreError."""
        self._change("UPDATE dead SET retry = 0, at = ?, reason = ? WHERE id = ?", time.time(), reason, letter.number)

    def close(self) -> None:
        self._connection.close()

    def _change(self, statement: str, *values: object) -> None:
        try:
            self._connection.execute(statement, values)
        except sqlite3.Error as error:
            raise self._error(error) from error

    def _prepare(self, begin: Callable[[], int]) -> None:
        run = self._connection.execute
        run("PRAGMA synchronous = NORMAL")
        run("PRAGMA journal_mode = WAL")
        version = run("PRAGMA user_version").fetchone()[0]
        if version == 0:
            position = begin()
            with transaction(self._connection):
                for statement in (_SCHEMA + _FROM_VERSION_1).split(";"):
                    run(statement)
                run("INSERT INTO progress VALUES (?, 0, 0)", (position,))
                run(f"PRAGMA user_version = {_VERSION}")
        elif version == 1:
            with transaction(self._connection):
                for statement in _FROM_VERSION_1.split(";"):
                    run(statement)
                run(f"PRAGMA user_version = {_VERSION}")
        elif version != _VERSION:
            raise StoreError(f"{self._path} was created by a newer sightd (format {version}): update sightd")
        self._saved = run("SELECT position, lost FROM progress").fetchone()
        self.position, self.lost = self._saved

    def _error(self, error: Exception) -> StoreError:
        return _store_error(self._path, error)


def _store_error(path: Path, error: Exception) -> StoreError:
    reason = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
    if isinstance(error, NotOursError) or (isinstance(error, sqlite3.Error) and is_damaged(error)):
        return StoreError(f"{path}: {reason}: move it away; the sink then begins with new events")
    return StoreError(f"{path}: {reason}: free disk space, or give this user write permission")


def store_path(environ: Mapping[str, str], sink: str) -> Path:
    """Returns a sink's file, in the state directory."""
    return state_directory(environ) / "delivery" / f"{sink}.db"


_LETTERS = "SELECT at, reason, event, retry, id FROM dead"


def known_sinks(environ: Mapping[str, str]) -> list[str]:
    """Returns the names of all sinks that have a file, also of those that are not configured any more."""
    return sorted(path.stem for path in store_path(environ, "x").parent.glob("*.db"))


def dead_letters(path: Path) -> list[DeadLetter]:
    """Returns the dead letters in a sink's file, oldest first, without changing it. Raises StoreError."""
    with _opened(path, write=False) as connection:
        columns = {name for _, name, *_ in connection.execute("PRAGMA table_info(dead)")}
        query = _LETTERS if "retry" in columns else "SELECT at, reason, event, 0, id FROM dead"
        rows = connection.execute(f"{query} ORDER BY id").fetchall()
    return [_letter(row) for row in rows]


def progress_of(path: Path) -> tuple[int, int]:
    """Returns the position in a sink's file and the number of lost events, without changing it. Raises StoreError."""
    with _opened(path, write=False) as connection:
        position, lost = connection.execute("SELECT position, lost FROM progress").fetchone()
    return int(position), int(lost)


def mark_for_retry(path: Path, ids: Collection[int] | None) -> list[int]:
    """Marks the dead letters of these events (None: all) to be sent again, also while the sink's worker runs. Returns
    the events' ids. Raises StoreError."""
    return _changed(path, "UPDATE dead SET retry = 1", ids)


def delete_letters(path: Path, ids: Collection[int] | None) -> list[int]:
    """Deletes the dead letters of these events (None: all), also while the sink's worker runs. Returns the events'
    ids. Raises StoreError."""
    return _changed(path, "DELETE FROM dead", ids)


def _changed(path: Path, statement: str, ids: Collection[int] | None) -> list[int]:
    SinkStore(path, lambda: 0).close()  # the file may be one of an earlier version
    chosen = "" if ids is None else " WHERE json_extract(event, '$.id') IN (SELECT value FROM json_each(?))"
    values = () if ids is None else (json.dumps(sorted(ids)),)
    with _opened(path, write=True) as connection:
        rows = connection.execute(f"{statement}{chosen} RETURNING json_extract(event, '$.id')", values).fetchall()
    return sorted(number for (number,) in rows)


@contextmanager
def _opened(path: Path, *, write: bool) -> Iterator[sqlite3.Connection]:
    try:
        target = path if write else read_only(path)
        connection = sqlite3.connect(target, uri=not write, timeout=5, isolation_level=None)
        try:
            yield connection
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise _store_error(path, error) from error


def _letter(row: tuple[float, str, str, int, int]) -> DeadLetter:
    at, reason, event, retry, number = row
    return DeadLetter(at, reason, json.loads(event), bool(retry), number)
