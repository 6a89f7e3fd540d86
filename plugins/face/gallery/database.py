"""The gallery's SQLite file in WAL mode: acknowledged writes are durable, and partial writes are never read."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sightd.plugins.face.gallery.file import (
    Cipher,
    DamagedError,
    GalleryError,
    UnwritableError,
    identity,
    made,
    new_lock,
    reason,
    unlocked,
)
from sightd.plugins.storage.sqlite import is_damaged, is_unwritable, read_only, transaction

_VERSION = 1
_ROOM_FOR_A_PERSON = (
    "INSERT OR REPLACE INTO meta VALUES ('room', zeroblob(131072))",
    "DELETE FROM meta WHERE key = 'room'",
)
"""Tests for free space by writing as much as a person needs: a few bytes may fit when that does not."""
_READ_ALL = (
    "SELECT count(key), sum(length(value)) FROM meta",
    "SELECT sum(length(name)) FROM persons",
    "SELECT sum(length(vector) + length(source)) FROM embeddings",
    "SELECT count(person) FROM embeddings INDEXED BY embeddings_of_person WHERE person > 0",
    "SELECT sum(length(mean) + length(joined)) FROM unknown",
    "SELECT sum(length(camera) + length(reason)) FROM sightings",
    "SELECT count(last_seen) FROM sightings INDEXED BY sightings_by_time WHERE last_seen > 0",
)
"""Reads everything that a running daemon needs, but not the stored face images, which are most of the file."""
_LATER = "A running daemon erases the traces as soon as it can; otherwise, run `sightd faces forget` again"
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE persons (id INTEGER PRIMARY KEY AUTOINCREMENT, name BLOB NOT NULL, added_at REAL NOT NULL);
CREATE TABLE embeddings (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    person INTEGER NOT NULL REFERENCES persons ON DELETE CASCADE,
    model TEXT NOT NULL, vector BLOB NOT NULL, quality REAL NOT NULL, source BLOB NOT NULL, added_at REAL NOT NULL,
    crop BLOB
);
CREATE INDEX embeddings_of_person ON embeddings (person);
CREATE TABLE unknown (
    number INTEGER PRIMARY KEY,
    model TEXT NOT NULL, mean BLOB NOT NULL, weight REAL NOT NULL, first_seen REAL NOT NULL, last_seen REAL NOT NULL,
    visits INTEGER NOT NULL, joined TEXT NOT NULL, quality REAL NOT NULL, crop BLOB
);
CREATE TABLE sightings (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    person INTEGER REFERENCES persons ON DELETE CASCADE, unknown INTEGER,
    camera TEXT NOT NULL, first_seen REAL NOT NULL, last_seen REAL NOT NULL,
    similarity REAL, margin REAL, reason TEXT NOT NULL
);
CREATE INDEX sightings_by_time ON sightings (last_seen);
INSERT INTO meta VALUES ('generation', 0), ('next_unknown', 1);
"""
ALL_NUMBERS = "SELECT ? UNION SELECT j.value FROM unknown, json_each(unknown.joined) AS j WHERE unknown.number = ?"
"""SQL for a person's own number and those of persons merged into it; bind the number twice."""


class Database:
    """One connection, usable from any thread, one at a time. Only the owner can access the file (mode 0600). `close` is
    idempotent.

    `generation` rises with each change of persons and embeddings, by any program; readers compare it.
    """

    def __init__(
        self,
        path: Path,
        key: str | None = None,
        *,
        may_stand_in: bool = False,
        create: bool = True,
        check: Callable[[Database], None] = lambda _: None,
    ) -> None:
        """Creates the file if it does not exist; if `create` is False, uses an empty database in memory instead.
        Raises GalleryError if it is unusable or the key is wrong. `check` raises DamagedError if the content is
        invalid; it is called each time the file is opened.

        `may_stand_in`: if the file cannot be written (`fault` says why), works read-only on a copy of it in memory, or
        on an empty database if it is damaged or missing, until `recover` succeeds. A damaged file is never modified.
        """
        self.path = path
        self.fault: str | None = None
        """Why the last write failed; None if it succeeded."""
        self._key, self._check = key, check
        self._lock = threading.RLock()
        self._stands_in = self._unread = False
        self._damaged: tuple[int, ...] | None = None
        """Identity of the file that was found damaged; None if none was."""
        if not create and _is_missing(path):
            self._connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            self.cipher = self._prepared(key, True)
            return
        try:
            self._open()
        except UnwritableError as error:
            if not may_stand_in:
                raise
            self.fault, self._stands_in = str(error), True
            self._open_stand_in()

    @property
    def generation(self) -> int:
        return int(self.rows("SELECT value FROM meta WHERE key = 'generation'")[0][0])

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Raises GalleryError if the query fails."""
        with self._lock, self._converting_errors():
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def changing(self, *, persons: bool = True, wipes: bool = False) -> Iterator[sqlite3.Connection]:
        """A transaction: on exit, all of it is stored or nothing. `persons`: raises `generation`, to notify readers.
        `wipes`: what it deletes must be wiped by `scrub`, now or as soon as possible."""
        with self._lock, self._converting_errors():
            self._require_writable()
            with transaction(self._connection) as run:
                yield self._connection
                if wipes:
                    run("INSERT OR REPLACE INTO meta VALUES ('wipe', 1)")
                if persons:
                    run("UPDATE meta SET value = value + 1 WHERE key = 'generation'")
            self.fault = None

    def recover(self) -> str | None:
        """Retries if writing had failed. Returns what still prevents it, None if nothing does."""
        with self._lock:
            if self.fault is None:
                return None
            if self._damaged is not None and self._damaged == identity(self.path):
                return self.fault
            try:
                if self._stands_in or self._damaged is not None:
                    before = self._connection
                    self._open()
                    self._stands_in, self._unread, self._damaged = False, False, None
                    before.close()
                for statement in _ROOM_FOR_A_PERSON:
                    with self.changing(persons=False) as run:
                        run.execute(statement)
            except GalleryError as error:
                self.fault = str(error)
            return self.fault

    @property
    def to_be_wiped(self) -> bool:
        """Whether something was deleted whose traces have not been wiped yet."""
        return bool(self.rows("SELECT 1 FROM meta WHERE key = 'wipe'"))

    def scrub(self) -> None:
        """Removes all traces of deleted data from the gallery's files. If that fails now, raises GalleryError; it stays
        `to_be_wiped`, and a running daemon or another `forget` wipes it later."""
        try:
            with self._lock, self._converting_errors():
                self._require_writable()
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                self._connection.execute("VACUUM")
                busy = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
                if not busy:
                    self._connection.execute("DELETE FROM meta WHERE key = 'wipe'")
        except GalleryError as error:
            raise GalleryError(f"{error}. The data is deleted, but not yet erased from the file. {_LATER}") from error
        if busy:
            raise GalleryError(
                f"gallery {self.path}: the data is deleted, but not yet erased from the file, because another program "
                f"is reading it. {_LATER}"
            )

    def settle(self) -> None:
        """Moves the write-ahead log into the database file, as far as no other program is reading it."""
        with self._lock, self._converting_errors():
            self._require_writable()
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def require_whole(self) -> None:
        """Raises UnwritableError if the file is damaged or unreadable; an empty list of persons would be wrong."""
        if self._damaged is not None or self._unread:
            raise UnwritableError(self.fault)

    def _require_writable(self) -> None:
        if self._stands_in or self._damaged is not None:
            raise UnwritableError(self.fault)

    def _open(self) -> None:
        try:
            with self._converting_errors():
                is_new = made(self.path)
                connection = sqlite3.connect(self.path, timeout=10, isolation_level=None, check_same_thread=False)
        except OSError as error:
            raise UnwritableError(f"gallery {self.path}: {reason(error)}") from error
        before, self._connection = getattr(self, "_connection", None), connection
        try:
            with self._converting_errors():
                self.cipher = self._prepared(self._key, is_new)
                self._read_all()
        except BaseException:
            connection.close()
            if before is not None:
                self._connection = before
            raise

    def _open_stand_in(self) -> None:
        """Opens a copy of the file in memory, or an empty database. The file itself is not kept open: SQLite shares
        what it knows about a file, including that it is read-only, among all connections of a process."""
        self._unread = self._damaged is None and self.path.exists() and self.path.stat().st_size > 0
        if self._unread:
            try:
                self._copy()
            except (DamagedError, UnwritableError) as error:
                self.fault = str(error)
            else:
                self._unread = False
                return
        self._connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self.cipher = self._prepared(self._key, True)

    def _copy(self) -> None:
        try:
            self._copy_from(read_only(self.path))
        except UnwritableError:  # a full disk has no room for SQLite's shared memory: no program has it open
            self._copy_from(read_only(self.path, unshared=True))

    def _copy_from(self, address: str) -> None:
        with self._converting_errors():
            self._connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            with closing(sqlite3.connect(address, uri=True, timeout=10)) as file:
                file.backup(self._connection)
            self.cipher = self._prepared(self._key, False)
            self._read_all()

    def _read_all(self) -> None:
        """Raises DamagedError if anything that will be needed cannot be read."""
        with self._converting_errors():
            for query in _READ_ALL:
                self._connection.execute(query).fetchall()
            self._check(self)

    def _prepared(self, key: str | None, is_new: bool) -> Cipher:
        run = self._connection.execute
        run("PRAGMA secure_delete = ON")  # overwrites deleted data
        run("PRAGMA foreign_keys = ON")
        run("PRAGMA synchronous = FULL")
        run("PRAGMA temp_store = MEMORY")  # no copies in a shared temporary directory
        version = run("PRAGMA user_version").fetchone()[0]
        if version == 0:
            return self._first(key, is_new)
        if version != _VERSION:
            raise GalleryError(
                f"gallery {self.path} was created by a newer sightd (format {version}, this version reads {_VERSION}): "
                "update sightd"
            )
        found = run("SELECT value FROM meta WHERE key = 'lock'").fetchone()
        return unlocked(key, None if found is None else bytes(found[0]))

    def _first(self, key: str | None, is_new: bool) -> Cipher:
        cipher, lock = new_lock(key)
        run = self._connection.execute
        run("BEGIN EXCLUSIVE")
        version = run("PRAGMA user_version").fetchone()[0]
        tables = run("SELECT count(*) FROM sqlite_master").fetchone()[0]
        run("ROLLBACK")
        if version:  # another program was faster
            return self._prepared(key, False)
        if tables and not is_new:
            raise GalleryError(f"gallery {self.path} is a database of another program: specify another file")
        run("PRAGMA journal_mode = WAL")
        run("BEGIN EXCLUSIVE")
        if run("PRAGMA user_version").fetchone()[0]:
            run("ROLLBACK")
            return self._prepared(key, False)
        for statement in _SCHEMA.split(";"):
            run(statement)
        if lock is not None:
            run("INSERT INTO meta VALUES ('lock', ?)", (lock,))
        run(f"PRAGMA user_version = {_VERSION}")
        run("COMMIT")
        return cipher

    @contextmanager
    def _converting_errors(self) -> Iterator[None]:
        """Converts SQLite errors to GalleryErrors, and remembers persistent ones in `fault`."""
        try:
            yield
        except sqlite3.Error as error:
            if is_damaged(error):
                self._found_damaged(DamagedError(self.path, f"it is damaged ({error})"))
                raise DamagedError(self.path, f"it is damaged ({error})") from error
            told = f"gallery {self.path}: {reason(error)}"
            if is_unwritable(error):
                self.fault = told
                raise UnwritableError(told) from error
            raise GalleryError(told) from error
        except DamagedError as error:
            self._found_damaged(error)
            raise

    def _found_damaged(self, error: DamagedError) -> None:
        self.fault, self._damaged = str(error), identity(self.path)


def _is_missing(path: Path) -> bool:
    """Returns False also if this cannot be found out; opening the file then reports why."""
    try:
        path.stat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def drop_unknown(run: sqlite3.Connection, numbers: Sequence[int]) -> None:
    """Deletes unknown persons and all their sightings, including those under merged numbers."""
    for number in numbers:
        run.execute(f"DELETE FROM sightings WHERE unknown IN ({ALL_NUMBERS})", (number, number))
        run.execute("DELETE FROM unknown WHERE number = ?", (number,))
