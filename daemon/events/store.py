"""The journal's database, an SQLite file: its format, and all that is written to it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sightd.daemon.events.event import COMMON_FACTS, Event, PendingEvent, common
from sightd.daemon.events.journal_reader import JournalError
from sightd.daemon.events.query import FORMAT
from sightd.daemon.events.upgrade import Upgrade
from sightd.plugins.api import EventRef, Phase
from sightd.plugins.storage.sqlite import NotOursError, open_private, transaction

_OURS = frozenset({"events"})
_FORMAT_1 = """
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL, at REAL NOT NULL, camera TEXT, plugin TEXT, facts TEXT NOT NULL
)
"""
_ADDED = (
    "phase TEXT NOT NULL DEFAULT 'once'",
    "began INTEGER",
    "zone TEXT",
    "line TEXT",
    "class TEXT",
    "track INTEGER",
    "person TEXT",
    "score REAL",
    "snapshot INTEGER NOT NULL DEFAULT 0",
    "clean_snapshot INTEGER NOT NULL DEFAULT 0",
    "clip INTEGER NOT NULL DEFAULT 0",
)
"""Columns that format 1 lacks."""
_WRITTEN = (
    "kind", "at", "camera", "plugin", "facts", "phase", "began", *COMMON_FACTS, "snapshot", "clean_snapshot", "clip",
)  # fmt: skip
_DELETED = 1000
"""Events deleted in one step, so that new ones need not wait for long."""
_OLDEST = "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE {} LIMIT ?)"
_DELETE_OLDEST = _OLDEST.format("id <= ?")
_DELETE_BEFORE = _OLDEST.format("at < ?")
_INSERT = f"INSERT INTO events ({', '.join(_WRITTEN)}) VALUES ({', '.join('?' * len(_WRITTEN))})"


class EventStore:
    """The journal's database, open for writing by one thread. Only its user may access the file (mode 0600). `close` is
    idempotent."""

    def __init__(self, path: Path, after: int = 0) -> None:
        """Creates the file if it does not exist; new ids are above `after`. Raises JournalError if it cannot be
        used."""
        self._path = path
        try:
            self._connection = open_private(path, _OURS)
            try:
                self._upgrade = self._prepare(after)
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
        """Stores all of them or none, and deletes the oldest beyond `max_count` in total, `_DELETED` at most; they are
        durable on return. Raises JournalError."""
        with self._transaction() as run:
            events = [self._inserted(one) for one in happened]
            run(_DELETE_OLDEST, (events[-1].id - max_count, _DELETED))
        return events

    def newest(self) -> float | None:
        """Returns when the last event was, in seconds since the epoch; None if there is none. Raises JournalError."""
        try:
            row = self._connection.execute("SELECT at FROM events ORDER BY id DESC LIMIT 1").fetchone()
        except sqlite3.Error as error:
            raise self._journal_error(error) from error
        return None if row is None else float(row[0])

    def last_id(self) -> int:
        """Returns the id of the last event that was ever stored; 0 if there was none. Raises JournalError."""
        try:
            row = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
        except sqlite3.Error as error:
            raise self._journal_error(error) from error
        return 0 if row is None else int(row[0])

    def tidy(self, oldest: float, max_count: int) -> bool:
        """Deletes events before `oldest` (seconds since the epoch) and the oldest beyond `max_count`; `_DELETED` at
        most of each. Returns whether there are more. Raises JournalError."""
        with self._transaction() as run:
            old = run(_DELETE_BEFORE, (oldest, _DELETED)).rowcount
            beyond = run(_DELETE_OLDEST, (self.last_id() - max_count, _DELETED)).rowcount
        return max(old, beyond) == _DELETED

    @property
    def upgrading(self) -> bool:
        """Whether `upgrade` has more to do."""
        return self._upgrade.pending

    def upgrade(self) -> None:
        """Does one more step of the upgrade of an old file; a step takes a fraction of a second, or seconds if it
        creates an index for a million events. Raises JournalError."""
        with self._transaction():
            self._upgrade.step()
        self._upgrade.stepped()

    def close(self) -> None:
        self._connection.close()

    def _prepare(self, after: int) -> Upgrade:
        run = self._connection.execute
        run("PRAGMA synchronous = FULL")
        run("PRAGMA temp_store = MEMORY")
        run("PRAGMA journal_mode = WAL")
        with self._transaction():
            version = run("PRAGMA user_version").fetchone()[0]
            if version > FORMAT:
                raise JournalError(
                    f"journal {self._path} was created by a newer sightd (format {version}): update sightd"
                )
            if version == 0:
                run(_FORMAT_1)
            if version < FORMAT:
                for column in _ADDED:
                    run(f"ALTER TABLE events ADD COLUMN {column}")
                run(f"PRAGMA user_version = {FORMAT}")
            upgrade = Upgrade(self._connection)
            while version == 0 and upgrade.pending:
                upgrade.step()
                upgrade.stepped()
            if after:
                known = run("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'events'", (after,)).rowcount
                if not known:
                    run("INSERT INTO sqlite_sequence (name, seq) VALUES ('events', ?)", (after,))
        return upgrade

    @contextmanager
    def _transaction(self) -> Iterator[Callable[..., sqlite3.Cursor]]:
        """Commits at the end, or rolls everything back. Raises JournalError for errors of SQLite."""
        try:
            with transaction(self._connection) as run:
                yield run
        except sqlite3.Error as error:
            raise self._journal_error(error) from error

    def _inserted(self, one: PendingEvent) -> Event:
        facts, began = dict(one.facts), None
        if one.about is not None:
            number = self._id_of(one.about, one.camera)
            if one.phase in (Phase.UPDATED, Phase.ENDED):
                began = number
            else:
                facts["event"] = number
        if one.rules:
            facts["rules"] = list(one.rules)
        kind, media = str(one.kind), (one.snapshot, one.clean_snapshot, one.clip)
        values = kind, one.at, one.camera, one.plugin, _as_text(facts), one.phase, began
        number = self._connection.execute(_INSERT, (*values, *common(facts).values(), *media)).lastrowid
        assert number is not None
        return Event(number, kind, one.at, one.camera, one.plugin, facts, one.phase, began, *media)

    def _id_of(self, about: EventRef, camera: str | None) -> int | None:
        """Returns the id of a stored event; None if there is none: it was lost, or is older than the journal keeps."""
        row = self._connection.execute(
            "SELECT id FROM events WHERE at = ? AND kind = ? AND camera IS ? AND "
            "json_remove(facts, '$.event', '$.rules') = json_remove(?, '$.event', '$.rules')",
            (about.at, about.kind, camera, _as_text(about.facts)),
        ).fetchone()
        return None if row is None else int(row[0])

    def _journal_error(self, error: Exception) -> JournalError:
        return JournalError(f"journal {self._path}: {_reason(error)}")


def _as_text(facts: Mapping[str, Any]) -> str:
    return json.dumps(dict(facts), ensure_ascii=False)


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
