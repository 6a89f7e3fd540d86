"""The index of the clips: which there are, of which camera, time and events. An SQLite file next to them."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightd.daemon.events.event import utc
from sightd.engines.files import make_private
from sightd.plugins.storage.sqlite import NotOursError, read_only, require_ours

FILE = "clips.db"
_VERSION = 1
_OURS = frozenset({"clips", "clip_events"})
_SCHEMA = """
CREATE TABLE clips (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    camera TEXT NOT NULL, begin REAL NOT NULL, end REAL, path TEXT NOT NULL,
    size INTEGER NOT NULL DEFAULT 0, codec TEXT NOT NULL, protected INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX clips_by_time ON clips (begin);
CREATE TABLE clip_events (event INTEGER NOT NULL, clip INTEGER NOT NULL, PRIMARY KEY (event, clip));
CREATE INDEX events_by_clip ON clip_events (clip)
"""
_COLUMNS = "id, camera, begin, end, path, size, codec, protected"


class ClipIndexError(Exception):
    """The index cannot be read or written; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip. `begin` and `end` are in seconds since the epoch, `path` is relative to the clips' folder, `size` in
    bytes. `events` are ids of the journal. `codec` is h264 or hevc."""

    id: int
    camera: str
    begin: float
    end: float
    path: str
    size: int
    codec: str
    protected: bool
    events: Sequence[int]

    def for_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "camera": self.camera,
            "begin": utc(self.begin),
            "end": utc(self.end),
            "events": list(self.events),
            "size": self.size,
            "codec": self.codec,
            "protected": self.protected,
            "video": f"/api/clips/{self.id}.mp4",
        }


@dataclass(frozen=True, slots=True)
class ClipFilter:
    """Selects clips; None matches any. A clip matches a time if it covers part of it; s since the epoch."""

    camera: str | None = None
    since: float | None = None
    until: float | None = None
    event: int | None = None
    before: int | None = None
    """Only clips with a smaller id."""


class ClipIndex:
    """Writes the index; used by one thread. Only its user may access the file (mode 0600). `folder` contains the clips.
    All methods raise ClipIndexError."""

    def __init__(self, folder: Path) -> None:
        """Creates the folder and the file if they do not exist."""
        self.folder, self._path = folder, folder / FILE
        with _faults(self._path):
            make_private(folder)
            if not self._path.exists():
                os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
            require_ours(self._path, _OURS)
            self._connection = sqlite3.connect(self._path, timeout=5, isolation_level=None, check_same_thread=False)
        try:
            with _faults(self._path):
                self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def begin(self, camera: str, begin: float, stem: str, codec: str, events: Sequence[int]) -> tuple[int, str]:
        """Adds a clip that is about to be written. Returns its id, and its path, which begins with `stem`. Readers see
        the clip after `finish`."""
        with self._transaction() as run:
            values = camera, begin, codec
            number = run("INSERT INTO clips (camera, begin, path, codec) VALUES (?, ?, '', ?)", values).lastrowid
            path = f"{stem}-{number}.mp4"
            run("UPDATE clips SET path = ? WHERE id = ?", (path, number))
            assert number is not None
            self._add_events(number, events)
        return number, path

    def finish(self, number: int, end: float, size: int, events: Sequence[int]) -> None:
        """Makes a clip visible: its file is complete."""
        with self._transaction() as run:
            run("UPDATE clips SET end = ?, size = ? WHERE id = ?", (end, size, number))
            self._add_events(number, events)

    def unfinished(self) -> list[tuple[int, float, str]]:
        """Returns id, begin and path of the clips that were not finished."""
        with _faults(self._path):
            return self._connection.execute("SELECT id, begin, path FROM clips WHERE end IS NULL").fetchall()

    def remove(self, number: int) -> None:
        with self._transaction() as run:
            run("DELETE FROM clip_events WHERE clip = ?", (number,))
            run("DELETE FROM clips WHERE id = ?", (number,))

    def oldest(self, before: float = float("inf")) -> Clip | None:
        """Returns the oldest clip that is not protected and ended before that time, if any."""
        with _faults(self._path):
            row = self._connection.execute(
                f"SELECT {_COLUMNS} FROM clips WHERE end < ? AND NOT protected ORDER BY begin, id LIMIT 1",
                (min(before, 1e300),),
            ).fetchone()
        return None if row is None else _clip(row, ())

    def total(self) -> int:
        """Returns the bytes of all finished clips."""
        with _faults(self._path):
            return int(self._connection.execute("SELECT coalesce(sum(size), 0) FROM clips").fetchone()[0])

    def newest(self) -> float | None:
        """Returns when the last clip ended, in seconds since the epoch."""
        with _faults(self._path):
            found = self._connection.execute("SELECT max(end) FROM clips").fetchone()[0]
        return None if found is None else float(found)

    def check(self) -> None:
        """Writes to the file without changing what it contains."""
        with self._transaction() as run:
            run(f"PRAGMA user_version = {_VERSION}")

    def close(self) -> None:
        self._connection.close()

    def _prepare(self) -> None:
        run = self._connection.execute
        run("PRAGMA synchronous = FULL")
        run("PRAGMA temp_store = MEMORY")
        run("PRAGMA journal_mode = WAL")
        with self._transaction():
            version = run("PRAGMA user_version").fetchone()[0]
            if version == 0:
                for statement in _SCHEMA.split(";"):
                    run(statement)
                run(f"PRAGMA user_version = {_VERSION}")
        if version not in (0, _VERSION):
            raise ClipIndexError(f"index {self._path} was created by a newer sightd (format {version}): update sightd")

    def _add_events(self, clip: int, events: Sequence[int]) -> None:
        rows = [(event, clip) for event in events]
        self._connection.executemany("INSERT OR IGNORE INTO clip_events (event, clip) VALUES (?, ?)", rows)

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        with _faults(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection.execute
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk has already ended the transaction
                    self._connection.execute("ROLLBACK")
                raise


class ClipReader:
    """Reads the index of the clips in `folder`, and changes nothing. The file is opened for each query, so any thread
    may call. Raises ClipIndexError."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._path = folder, folder / FILE

    def clips(self, wanted: ClipFilter, limit: int) -> list[Clip]:
        """Returns the newest `limit` clips, the newest first."""
        conditions, values = ["end IS NOT NULL"], list[object]()
        for condition, value in (
            ("camera = ?", wanted.camera),
            ("end >= ?", wanted.since),
            ("begin <= ?", wanted.until),
            ("id IN (SELECT clip FROM clip_events WHERE event = ?)", wanted.event),
            ("id < ?", wanted.before),
        ):
            if value is not None:
                conditions.append(condition)
                values.append(value)
        return self._found(f"{' AND '.join(conditions)} ORDER BY id DESC LIMIT ?", (*values, limit))

    def clip(self, number: int) -> Clip | None:
        """Returns a finished clip."""
        return next(iter(self._found("id = ? AND end IS NOT NULL", (number,))), None)

    def _found(self, condition: str, values: Sequence[object]) -> list[Clip]:
        with _faults(self._path):
            if not self._path.exists():
                return []
            connection = sqlite3.connect(read_only(self._path), uri=True, timeout=5)
            try:
                rows = connection.execute(f"SELECT {_COLUMNS} FROM clips WHERE {condition}", values).fetchall()
                return [_clip(row, _events_of(connection, row[0])) for row in rows]
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):  # it is being created
                    return []
                raise
            finally:
                connection.close()


def _events_of(connection: sqlite3.Connection, clip: int) -> list[int]:
    rows = connection.execute("SELECT event FROM clip_events WHERE clip = ? ORDER BY event", (clip,))
    return [number for (number,) in rows]


def _clip(row: Sequence[Any], events: Sequence[int]) -> Clip:
    return Clip(row[0], row[1], row[2], row[3], row[4], row[5], row[6], bool(row[7]), events)


@contextmanager
def _faults(path: Path) -> Iterator[None]:
    try:
        yield
    except NotOursError as error:
        hint = "It was not changed: move it away, or set recording.clips.path to another folder"
        raise ClipIndexError(f"index {path}: {error}. {hint}") from error
    except (OSError, sqlite3.Error) as error:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        hint = "this user needs write permission for the file and its folder, and the disk needs free space"
        raise ClipIndexError(f"index {path}: {reason}: {hint}") from error
