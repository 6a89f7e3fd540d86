"""The journal's file: SQLite with a write-ahead log; what was committed survives a kill and a power cut."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from sightd.daemon.events.event import Event, PendingEvent
from sightd.daemon.events.journal_reader import JournalError
from sightd.plugins.storage.sqlite import NotOursError, require_ours
from sightd.plugins.storage.state_directory import make_private

_VERSION = 1
_OURS = frozenset({"events"})
_SCHEMA = """
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL, at REAL NOT NULL, camera TEXT, plugin TEXT, facts TEXT NOT NULL
);
CREATE INDEX events_by_time ON events (at);
"""


class EventStore:
    """The journal's database, open for writing by one thread. Only its user may access the file (mode 0600). `close` is
    idempotent."""

    def __init__(self, path: Path, after: int = 0) -> None:
        """Creates the file if it does not exist; new ids are above `after`. Raises JournalError if it cannot be
        used."""
        self._path = path
        try:
            make_private(path.parent)
            if not path.exists():
                os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            require_ours(path, _OURS)
            self._connection = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
            try:
                self._prepare(after)
                self._file = _identity(path)
            except BaseException:
                self._connection.close()
                raise
        except NotOursError as error:
            raise JournalError(
                f"journal {path}: {error}. It was not changed: move it away to start a new one, or set "
                "`events.path` to another file"
            ) from error
        except (OSError, sqlite3.Error) as error:
            raise self._journal_error(error) from error

    def is_in_place(self) -> bool:
        """Returns whether the open file is still the one at its path: it may have been deleted or replaced."""
        try:
            return _identity(self._path) == self._file
        except OSError:
            return False

    def append(self, happened: Sequence[PendingEvent], max_count: int) -> list[Event]:
        """Stores all of them or none, and keeps at most `max_count` events in total; they are durable on return. Raises
        JournalError."""
        run = self._connection.execute
        try:
            run("BEGIN IMMEDIATE")
            try:
                events = [self._inserted(one) for one in happened]
                run("DELETE FROM events WHERE id <= ?", (events[-1].id - max_count,))
                run("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk has already ended the transaction
                    run("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise self._journal_error(error) from error
        return events

    def newest(self) -> float | None:
        """Returns when the last event was, in seconds since the epoch; None if there is none. Raises JournalError."""
        try:
            row = self._connection.execute("SELECT at FROM events ORDER BY id DESC LIMIT 1").fetchone()
        except sqlite3.Error as error:
            raise self._journal_error(error) from error
        return None if row is None else float(row[0])

    def forget_before(self, oldest: float) -> None:
        """Deletes events before `oldest` (seconds since the epoch). Raises JournalError."""
        try:
            self._connection.execute("DELETE FROM events WHERE at < ?", (oldest,))
        except sqlite3.Error as error:
            raise self._journal_error(error) from error

    def close(self) -> None:
        self._connection.close()

    def _prepare(self, after: int) -> None:
        run = self._connection.execute
        run("PRAGMA synchronous = FULL")
        run("PRAGMA temp_store = MEMORY")
        run("PRAGMA journal_mode = WAL")
        run("BEGIN IMMEDIATE")
        try:
            version = run("PRAGMA user_version").fetchone()[0]
            if version == 0:
                for statement in _SCHEMA.split(";"):
                    run(statement)
                run(f"PRAGMA user_version = {_VERSION}")
            if after and version in (0, _VERSION):
                known = run("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'events'", (after,)).rowcount
                if not known:
                    run("INSERT INTO sqlite_sequence (name, seq) VALUES ('events', ?)", (after,))
            run("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                run("ROLLBACK")
            raise
        if version not in (0, _VERSION):
            raise JournalError(f"journal {self._path} was created by a newer sightd (format {version}): update sightd")

    def _inserted(self, one: PendingEvent) -> Event:
        facts = json.dumps(dict(one.facts), ensure_ascii=False)
        values = str(one.kind), one.at, one.camera, one.plugin, facts
        number = self._connection.execute(
            "INSERT INTO events (kind, at, camera, plugin, facts) VALUES (?, ?, ?, ?, ?)", values
        ).lastrowid
        assert number is not None
        return Event(number, str(one.kind), one.at, one.camera, one.plugin, one.facts)

    def _journal_error(self, error: Exception) -> JournalError:
        return JournalError(f"journal {self._path}: {_reason(error)}")


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _reason(error: Exception) -> str:
    text = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
    if "full" in text or "No space" in text:
        return f"{text}: free disk space"
    if "not a database" in text or "malformed" in text:
        return f"{text}: move it away to start a new one"
    if "locked" in text:
        return f"{text}: another program is writing to it"
    return f"{text}: this user needs write permission for the file and its folder; or set `events.path` to another file"
