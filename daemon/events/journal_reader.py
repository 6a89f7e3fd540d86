"""Reads the journal, for the daemon's own routes and for `sightd events`, whether or not a daemon writes it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightd.daemon.config.model import Events
from sightd.daemon.events.event import Event
from sightd.engines.files import state_directory
from sightd.plugins.api import Phase
from sightd.plugins.storage.sqlite import is_damaged, read_only

_COLUMNS = "id, kind, at, camera, plugin, facts, phase, began, snapshot, clean_snapshot, clip"
_COLUMNS_1 = "id, kind, at, camera, plugin, facts, 'once', NULL, 0, 0, 0"
"""The same of a file of format 1, which no daemon of this version has opened yet."""


class JournalError(Exception):
    """The journal cannot be read or written; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Selects events; None matches any. `since` is in seconds since the epoch."""

    camera: str | None = None
    kind: str | None = None
    since: float | None = None


class JournalReader:
    """Reads a journal's file and never changes it. The file is opened for each query, so any thread may call."""

    def __init__(self, path: Path, ready: Callable[[], object] = lambda: None) -> None:
        """`ready` is called before each query, and returns once there is no need to wait for the file any longer."""
        self.path, self._ready = path, ready

    def after(self, last: int, limit: int, wanted: Filter | None = None) -> list[Event]:
        """Returns at most `limit` events with an id above `last`, the oldest first. Raises JournalError."""
        return self._events(wanted or Filter(), "id > ?", last, "id", limit)

    def latest(self, limit: int, wanted: Filter | None = None) -> list[Event]:
        """Returns the newest `limit` events, the oldest of them first. Raises JournalError."""
        return self._events(wanted or Filter(), "id > ?", 0, "id DESC", limit)[::-1]

    def span(self) -> tuple[int, int]:
        """Returns the oldest and the newest id; (0, 0) if there are no events. Raises JournalError."""
        with self._opened() as run:
            first, last = run.execute("SELECT min(id), max(id) FROM events").fetchone()
        return first or 0, last or 0

    def last_id(self) -> int:
        """Returns the id of the last event that was ever stored, even if it is deleted; 0 if there was none. Raises
        JournalError."""
        with self._opened() as run:
            row = run.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
        return 0 if row is None else int(row[0])

    def _events(self, wanted: Filter, condition: str, value: int, order: str, limit: int) -> list[Event]:
        conditions: list[str] = [condition]
        values: list[object] = [value]
        for column, sign, asked in (
            ("camera", "=", wanted.camera),
            ("kind", "=", wanted.kind),
            ("at", ">=", wanted.since),
        ):
            if asked is not None:
                conditions.append(f"{column} {sign} ?")
                values.append(asked)
        with self._opened() as run:
            columns = _COLUMNS_1 if run.execute("PRAGMA user_version").fetchone()[0] == 1 else _COLUMNS
            query = f"SELECT {columns} FROM events WHERE {' AND '.join(conditions)} ORDER BY {order} LIMIT ?"
            rows = run.execute(query, (*values, limit)).fetchall()
        return [_event(row) for row in rows]

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        self._ready()
        try:
            if self.path.exists() and not self.path.is_file():  # SQLite would wait for the writer of a named pipe
                raise JournalError(f"journal {self.path}: not a regular file")
            connection = sqlite3.connect(read_only(self.path), uri=True, timeout=5)
            try:
                yield connection
            finally:
                connection.close()
        except sqlite3.Error as error:
            if not self.path.exists() or "no such table" in str(error):  # or it is being created
                raise JournalError(
                    f"journal {self.path} does not exist or is empty; a running daemon creates it"
                ) from error
            if is_damaged(error):
                raise JournalError(f"journal {self.path}: damaged, or not a journal ({error})") from error
            raise JournalError(
                f"journal {self.path}: {error}: reading it requires read permission for the file and its folder"
            ) from error


def _event(row: Sequence[Any]) -> Event:
    number, kind, at, camera, plugin, facts, phase, began, *media = row
    return Event(number, kind, at, camera, plugin, json.loads(facts), Phase(phase), began, *map(bool, media))


FILE = "events.db"


def journal_of(options: Events, environ: Mapping[str, str]) -> Path:
    """Returns the journal's file: the configured one, or one in the state directory."""
    return options.path or state_directory(environ) / FILE
