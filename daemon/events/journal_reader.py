"""Reads the journal, for the daemon's own routes and for `sightd events`, whether or not a daemon writes it."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sightd.daemon.config.model import Events
from sightd.daemon.events.event import Event
from sightd.daemon.events.query import HIGHEST, Filter, Run, Selection
from sightd.engines.files import state_directory
from sightd.plugins.api import Phase
from sightd.plugins.storage.sqlite import is_damaged, read_only

BUDGET = 5.0
"""Maximum seconds of a query."""
_STEPS = 50_000
"""Instructions of SQLite between two looks at the clock."""


class JournalError(Exception):
    """The journal cannot be read or written; the message says what to do."""


class SlowQueryError(JournalError):
    """A query took longer than its budget; the message says how to narrow it."""


class JournalReader:
    """Reads a journal's file and never changes it. The file is opened for each query, so any thread may call. A query
    that takes longer than `budget` s is ended."""

    def __init__(self, path: Path, ready: Callable[[], object] = lambda: None, budget: float = BUDGET) -> None:
        """`ready` is called before each query, and returns once there is no need to wait for the file any longer."""
        self.path, self._ready, self._budget = path, ready, budget

    def after(self, last: int, limit: int, wanted: Filter | None = None, before: int = HIGHEST) -> list[Event]:
        """Returns at most `limit` events with an id above `last` and below `before`, the oldest first. Raises
        JournalError."""
        with self.opened() as run:
            return [_event(row) for row in Selection(run, wanted or Filter(), last, before).page(limit, newest=False)]

    def follow(self, last: int, limit: int, wanted: Filter) -> tuple[list[Event], int]:
        """Returns like `after`, and the id to go on after: that of the newest event if no later one is selected, so
        that who follows reads each event once. Raises JournalError."""
        with self.opened() as run:
            newest = max(last, run("SELECT max(id) FROM events").fetchone()[0] or 0)
            found = [_event(row) for row in Selection(run, wanted, last, newest + 1).page(limit, newest=False)]
        return found, found[-1].id if len(found) == limit else newest

    def latest(self, limit: int, wanted: Filter | None = None, before: int = HIGHEST) -> list[Event]:
        """Returns the newest `limit` events with an id below `before`, the oldest of them first. Raises
        JournalError."""
        with self.opened() as run:
            found = Selection(run, wanted or Filter(), before=before).page(limit, newest=True)
        return [_event(row) for row in reversed(found)]

    def event(self, number: int) -> Event | None:
        """Returns the event with this id; None if it is not stored any more. Raises JournalError."""
        return next(iter(self.after(number - 1, 1, before=number + 1)), None)

    def span(self) -> tuple[int, int]:
        """Returns the oldest and the newest id; (0, 0) if there are no events. Raises JournalError."""
        with self.opened() as run:
            first, last = run("SELECT (SELECT min(id) FROM events), (SELECT max(id) FROM events)").fetchone()
        return first or 0, last or 0

    def last_id(self) -> int:
        """Returns the id of the last event that was ever stored, even if it is deleted; 0 if there was none. Raises
        JournalError."""
        with self.opened() as run:
            row = run("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
        return 0 if row is None else int(row[0])

    @contextmanager
    def opened(self) -> Iterator[Run]:
        """Opens the file for queries, which have the budget together. Raises JournalError, also for what they
        raise."""
        self._ready()
        try:
            if self.path.exists() and not self.path.is_file():  # SQLite would wait for the writer of a named pipe
                raise JournalError(f"journal {self.path}: not a regular file")
            connection = sqlite3.connect(read_only(self.path), uri=True, timeout=5)
            try:
                until = time.monotonic() + self._budget
                connection.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
                yield connection.execute
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise self._journal_error(error) from error

    def _journal_error(self, error: sqlite3.Error) -> JournalError:
        if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_INTERRUPT:
            return SlowQueryError(
                f"the query takes longer than {self._budget:g} s: narrow it by a shorter time range, a camera or a kind"
            )
        if not self.path.exists() or "no such table" in str(error):  # or it is being created
            return JournalError(f"journal {self.path} does not exist or is empty; a running daemon creates it")
        if is_damaged(error):
            return JournalError(f"journal {self.path}: damaged, or not a journal ({error})")
        return JournalError(
            f"journal {self.path}: {error}: reading it requires read permission for the file and its folder"
        )


def _event(row: Sequence[Any]) -> Event:
    number, kind, at, camera, plugin, facts, phase, began, *media = row
    return Event(number, kind, at, camera, plugin, json.loads(facts), Phase(phase), began, *map(bool, media))


FILE = "events.db"


def journal_of(options: Events, environ: Mapping[str, str]) -> Path:
    """Returns the journal's file: the configured one, or one in the state directory."""
    return options.path or state_directory(environ) / FILE
