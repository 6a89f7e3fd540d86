"""Writes events to the journal, an SQLite file, in a thread of its own so that nobody waits for the disk."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from sightd.daemon.common.redaction import redact
from sightd.daemon.events.event import Event, EventKind, PendingEvent, describe
from sightd.daemon.events.journal_reader import JournalError, JournalReader
from sightd.engines.files import make_private
from sightd.engines.log_throttle import LogThrottle
from sightd.plugins.api import EventRef
from sightd.plugins.storage.sqlite import NotOursError, require_ours
from sightd.plugins.storage.trusted_clock import TrustedClock

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

    def last_id(self) -> int:
        """Returns the id of the last event that was ever stored; 0 if there was none. Raises JournalError."""
        try:
            row = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
        except sqlite3.Error as error:
            raise self._journal_error(error) from error
        return 0 if row is None else int(row[0])

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
        facts = dict(one.facts)
        if one.about is not None:
            facts["event"] = self._id_of(one.about, one.camera)
        values = str(one.kind), one.at, one.camera, one.plugin, _as_text(facts)
        number = self._connection.execute(
            "INSERT INTO events (kind, at, camera, plugin, facts) VALUES (?, ?, ?, ?, ?)", values
        ).lastrowid
        assert number is not None
        return Event(number, str(one.kind), one.at, one.camera, one.plugin, facts)

    def _id_of(self, about: EventRef, camera: str | None) -> int | None:
        """Returns the id of a stored event; None if there is none: it was lost, or is older than the journal keeps."""
        row = self._connection.execute(
            "SELECT id FROM events WHERE at = ? AND kind = ? AND camera IS ? AND facts = ?",
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


log = logging.getLogger(__name__)

ROOM = 2000
"""Maximum events that wait for the disk; beyond that the oldest are lost, which is an event itself."""
_BATCH = 200
_RETRY = 1.0
"""Seconds between two attempts while the journal cannot be written."""
_TIDY_EVERY = 600.0
"""Seconds between two deletions of events that are too old."""
_OPENING = 5.0
"""Maximum seconds that a reader waits for the file to be opened at start-up."""


class JournalObserver(Protocol):
    """Counts events for metrics; called from any thread."""

    def noted(self, kind: str) -> None: ...

    def lost(self, count: int) -> None: ...

    def waiting(self, count: int) -> None: ...

    def writable(self, able: bool) -> None: ...


class Journal:
    """Records events from any thread; what is read, by `reader` or after a wake-up, is stored for good. `close` is
    idempotent.

    While the file cannot be opened or written, events wait in memory, `fault` says why, and writing is retried until it
    succeeds.
    """

    def __init__(
        self,
        path: Path,
        retention: float,
        max_count: int,
        observer: JournalObserver,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Deletes events older than `retention` s, and the oldest beyond `max_count`. `clock` returns seconds since the
        epoch."""
        self._begun = threading.Event()
        self.reader = JournalReader(path, lambda: self._begun.wait(_OPENING))
        self._retention, self._max_count, self._observer, self._clock = retention, max_count, observer, clock
        self._changed = threading.Condition()
        self._waiting: deque[PendingEvent] = deque()
        self._batch: list[PendingEvent] = []
        self._lost = self._last_id = 0
        self._id_before: int | None = None
        self._ending = False
        self._fault: str | None = None
        self._throttle = LogThrottle()
        self._store: EventStore | None = None
        self._steady: TrustedClock | None = None
        self._tidied_at = float("-inf")
        self._followers: list[Callable[[], None]] = []
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)

    def start(self) -> None:
        """Starts writing, including what was noted before."""
        self._thread.start()

    @property
    def fault(self) -> str | None:
        """Why events cannot be stored now, and how many wait; None if they can."""
        fault = self._fault
        return None if fault is None else f"{fault} ({self._count()} events are queued in memory)"

    @property
    def last_id(self) -> int | None:
        """Id of the last event stored; None until the file is open."""
        return None if self._id_before is None else self._last_id

    @property
    def id_before(self) -> int | None:
        """Id of the last event of earlier runs, 0 if there is none; None until the file is open."""
        return self._id_before

    def note(self, kind: EventKind, *, camera: str | None = None, plugin: str | None = None, **facts: Any) -> None:
        """Records that something happened now. Never waits for the disk."""
        self.record(PendingEvent(kind, self._clock(), camera, plugin, facts))

    def record(self, event: PendingEvent) -> None:
        """Records an event, without the secrets of addresses in its facts. Never waits for the disk."""
        about = event.about and replace(event.about, facts=_redacted(dict(event.about.facts)))
        pending = replace(event, facts=_redacted(dict(event.facts)), about=about)
        log.info("%s", describe(pending), extra={} if event.camera is None else {"camera": event.camera})
        self._observer.noted(event.kind)
        with self._changed:
            if len(self._waiting) >= ROOM:
                self._waiting.popleft()
                self._lost += 1
                self._observer.lost(1)
            self._waiting.append(pending)
            self._changed.notify()

    @contextmanager
    def followed(self, wake: Callable[[], None]) -> Iterator[None]:
        """Calls `wake` on the journal's thread each time there is more to read; it must return at once."""
        with self._changed:
            self._followers.append(wake)
        try:
            yield
        finally:
            with self._changed:
                self._followers.remove(wake)

    def close(self, deadline: float = 3.0) -> None:
        """Writes the waiting events, if possible, and ends the thread. Also works if it never started."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._begun.set()
        if self._thread.is_alive():
            self._thread.join(deadline)
        if self._thread.is_alive():
            log.error("the journal disk did not respond within %.0f s: %d events were lost", deadline, self._count())

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._batch:
                    self._changed.wait_for(lambda: self._waiting or self._ending, self._pause())
                    self._take()
                ending = self._ending
            able = self._attempt()
            with self._changed:
                if ending and (not able or not (self._waiting or self._batch)):
                    break
                if not able:
                    self._changed.wait_for(lambda: self._ending, _RETRY)
        if count := self._count():
            log.error("%d events were lost: %s", count, self._fault)
        if self._store is not None:
            self._store.close()

    def _pause(self) -> float:
        """Returns the seconds until there is work to do even if no event arrives."""
        if self._fault:
            return _RETRY
        return 0.0 if self._store is None else _TIDY_EVERY

    def _take(self) -> None:
        """Fills the next batch, which begins with a report of lost events, if any."""
        if self._lost:
            self._batch.append(PendingEvent(EventKind.EVENTS_LOST, self._clock(), facts={"count": self._lost}))
            self._lost = 0
        while self._waiting and len(self._batch) < _BATCH:
            self._batch.append(self._waiting.popleft())

    def _attempt(self) -> bool:
        """Writes the batch and deletes what is too old. Returns whether the journal can be written."""
        try:
            if self._store is not None and not self._store.is_in_place():
                log.warning("the journal file was removed or replaced; reopening %s", self.reader.path)
                self._store.close()
                self._store = None
            if self._store is None:
                self._store = EventStore(self.reader.path, self._last_id)
                if self._id_before is None:
                    self._last_id = self._id_before = self._store.last_id()
            if self._steady is None:  # before anything is written: our own events say nothing about the clock
                self._steady = TrustedClock(self._clock, last_seen=self._store.newest())
            if self._batch:
                self._last_id = self._store.append(self._batch, self._max_count)[-1].id
                self._batch.clear()
                self._wake()
            self._tidy(self._store, self._steady)
        except JournalError as error:
            self._failed(str(error))
        except Exception as error:  # the thread's boundary: one attempt fails, the next is made
            log.exception("error in the journal")
            self._failed(f"{type(error).__name__}: {error}")
        else:
            if self._fault is not None:
                log.info("events are written again, including the queued ones")
            self._fault = None
            self._observer.writable(True)
        self._begun.set()
        self._observer.waiting(self._count())
        return self._fault is None

    def _failed(self, fault: str) -> None:
        self._fault = fault
        self._observer.writable(False)
        if self._store is not None:
            self._store.close()
            self._store = None
        if self._throttle.add():
            log.error("events cannot be written and are queued in memory: %s", fault)

    def _wake(self) -> None:
        with self._changed:
            followers = list(self._followers)
        for wake in followers:
            wake()

    def _tidy(self, store: EventStore, steady: TrustedClock) -> None:
        if time.monotonic() - self._tidied_at < _TIDY_EVERY:
            return
        self._tidied_at = time.monotonic()
        if (now := steady.trusted()) is not None:
            store.forget_before(now - self._retention)

    def _count(self) -> int:
        return len(self._waiting) + len(self._batch)


def _redacted(value: Any) -> Any:
    """Returns a value of an event's facts with the secrets in its texts redacted."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {name: _redacted(item) for name, item in value.items()}
    return [_redacted(item) for item in value] if isinstance(value, list) else value
