"""The index of the recordings: which clips and segments there are, of which camera, time and events. An SQLite file
next to them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from sightd.daemon.events.event import utc
from sightd.plugins.storage.sqlite import NotOursError, open_private, read_only, transaction

FILE = "clips.db"
_VERSION = 2
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
_SECOND = """
ALTER TABLE clips ADD COLUMN kind TEXT NOT NULL DEFAULT 'clip';
ALTER TABLE clips ADD COLUMN priority INTEGER NOT NULL DEFAULT 2;
ALTER TABLE clips ADD COLUMN audio TEXT;
CREATE INDEX clips_to_delete ON clips (protected, priority, begin);
CREATE INDEX clips_by_camera ON clips (camera, begin)
"""
"""What format 2 adds."""
_COLUMNS = "id, camera, begin, end, path, size, codec, protected, kind, priority, audio"

T = TypeVar("T")
Kind = Literal["clip", "segment"]
GAP = 0.5
"""Seconds between two segments up to which they follow each other without a gap: their times are those of arrival."""
QUIET, EVENTFUL, CLIP = range(3)
"""Priorities: a segment without events, one with events, a clip. Recordings of a lower one are deleted first."""


class ClipIndexError(Exception):
    """The index cannot be read or written; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip or a segment. `begin` and `end` are in seconds since the epoch, `path` is relative to the folder of the
    recordings, `size` in bytes. `events` are ids of the journal. `codec` is h264 or hevc, `audio` aac or opus, None
    if there is none. `priority` says which are deleted first."""

    id: int
    camera: str
    begin: float
    end: float
    path: str
    size: int
    codec: str
    protected: bool
    kind: Kind
    priority: int
    audio: str | None
    events: Sequence[int]

    def for_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "kind": self.kind,
            "camera": self.camera,
            "begin": utc(self.begin),
            "end": utc(self.end),
            "events": list(self.events),
            "size": self.size,
            "codec": self.codec,
            "audio": self.audio,
            "protected": self.protected,
            "video": f"/api/v1/clips/{self.id}.mp4",
            "file": self.path,
        }


@dataclass(frozen=True, slots=True)
class ClipFilter:
    """Selects clips or segments; None matches any. One matches a time if it covers part of it; s since the epoch."""

    camera: str | None = None
    since: float | None = None
    until: float | None = None
    event: int | None = None
    before: int | None = None
    """Only those with a smaller id."""
    kind: Kind | None = "clip"


class ClipIndex:
    """Writes the index; each object is used by one thread. Only its user may access the file (mode 0600). `folder`
    contains the recordings. All methods raise ClipIndexError."""

    def __init__(self, folder: Path) -> None:
        """Creates the folder and the file if they do not exist."""
        self.folder, self._path = folder, folder / FILE
        with _faults(self._path):
            self._connection = open_private(self._path, _OURS)
        try:
            with _faults(self._path):
                self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def begin(
        self,
        camera: str,
        begin: float,
        stem: str,
        codec: str,
        events: Sequence[int],
        kind: Kind = "clip",
        audio: str | None = None,
    ) -> tuple[int, str]:
        """Adds a recording that is about to be written. Returns its id, and its path, which begins with `stem`. Readers
        see it after `finish`."""
        priority = CLIP if kind == "clip" else EVENTFUL if events else QUIET
        with self._transaction() as run:
            values = camera, begin, codec, kind, priority, audio
            number = run(
                "INSERT INTO clips (camera, begin, path, codec, kind, priority, audio) VALUES (?, ?, '', ?, ?, ?, ?)",
                values,
            ).lastrowid
            path = f"{stem}-{number}.mp4"
            run("UPDATE clips SET path = ? WHERE id = ?", (path, number))
            assert number is not None
            self._add_events(number, events)
        return number, path

    def finish(self, number: int, end: float, size: int, events: Sequence[int]) -> None:
        """Makes a recording visible: its file is complete."""
        with self._transaction() as run:
            run("UPDATE clips SET end = ?, size = ? WHERE id = ?", (end, size, number))
            self._add_events(number, events)

    def unfinished(self) -> list[tuple[int, float, str]]:
        """Returns id, begin and path of the clips that were not finished."""
        with _faults(self._path):
            return self._connection.execute("SELECT id, begin, path FROM clips WHERE end IS NULL").fetchall()

    def add_event(self, camera: str, event: int, at: float) -> None:
        """Adds an event to the segment of that time, if there is one, which is then deleted later than others."""
        with self._transaction() as run:
            found = run(
                "SELECT id FROM clips WHERE camera = ? AND begin <= ? AND (end IS NULL OR end >= ?) "
                "AND kind = 'segment' ORDER BY begin DESC LIMIT 1",
                (camera, at, at),
            ).fetchone()
            if found is not None:
                self._add_events(found[0], [event])
                run("UPDATE clips SET priority = ? WHERE id = ?", (EVENTFUL, found[0]))

    def remove(self, number: int) -> None:
        with self._transaction() as run:
            _remove(run, number)

    def delete(self, number: int) -> Clip | None:
        """Removes a finished recording that is not protected, and its file; from any process. Returns it as it was,
        or None if there is none."""
        with self._transaction() as run:
            clip = _one(run, "id = ? AND end IS NOT NULL", (number,))
            if clip is not None and not clip.protected:
                (self.folder / clip.path).unlink(missing_ok=True)  # before the index is written: the disk may be full
                _remove(run, number)
        return clip

    def protect(self, number: int, on: bool) -> Clip | None:
        """Protects a finished recording from deletion, or ends that. Returns it, or None if there is none."""
        with self._transaction() as run:
            run("UPDATE clips SET protected = ? WHERE id = ? AND end IS NOT NULL", (on, number))
            return _one(run, "id = ? AND end IS NOT NULL", (number,))

    def oldest(self) -> Clip | None:
        """Returns the recording to be deleted first, if any: the oldest of the lowest priority that is not
        protected."""
        return self._first("end IS NOT NULL AND NOT protected ORDER BY priority, begin, id LIMIT 1", ())

    def oldest_segment(self, camera: str) -> Clip | None:
        """Returns the camera's segment to be deleted first, if any."""
        condition = "camera = ? AND kind = 'segment' AND end IS NOT NULL AND NOT protected"
        return self._first(f"{condition} ORDER BY priority, begin, id LIMIT 1", (camera,))

    def oldest_of_each(self) -> list[Clip]:
        """Returns the oldest recording of each camera and priority, of those that are not protected."""
        with _faults(self._path):
            rows = self._connection.execute(
                f"SELECT {_COLUMNS}, min(end) FROM clips WHERE end IS NOT NULL AND NOT protected "
                "GROUP BY camera, priority"
            )
            return [_clip(row, ()) for row in rows.fetchall()]

    def total(self, kind: Kind | None = None, camera: str | None = None) -> int:
        """Returns the bytes of all finished recordings, or of those of a kind or camera."""
        condition = "coalesce(?1, kind) = kind AND coalesce(?2, camera) = camera"
        with _faults(self._path):
            found = self._connection.execute(
                f"SELECT coalesce(sum(size), 0) FROM clips WHERE {condition}", (kind, camera)
            )
            return int(found.fetchone()[0])

    def newest(self) -> float | None:
        """Returns when the last recording ended, in seconds since the epoch."""
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
            for statement in _missing(version):
                run(statement)
            if version < _VERSION:
                run(f"PRAGMA user_version = {_VERSION}")
        if version > _VERSION:
            raise ClipIndexError(f"index {self._path} was created by a newer sightd (format {version}): update sightd")

    def _first(self, condition: str, values: Sequence[object]) -> Clip | None:
        with _faults(self._path):
            return _one(self._connection.execute, condition, values)

    def _add_events(self, clip: int, events: Sequence[int]) -> None:
        rows = [(event, clip) for event in events]
        self._connection.executemany("INSERT OR IGNORE INTO clip_events (event, clip) VALUES (?, ?)", rows)

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        with _faults(self._path), transaction(self._connection) as run:
            yield run


def _missing(version: int) -> list[str]:
    """Returns the statements that a file of this format lacks."""
    formats = (_SCHEMA, _SECOND)
    return [statement for one in formats[version:] for statement in one.split(";")]


def _remove(run: Any, number: int) -> None:
    run("DELETE FROM clip_events WHERE clip = ?", (number,))
    run("DELETE FROM clips WHERE id = ?", (number,))


def _one(run: Any, condition: str, values: Sequence[object]) -> Clip | None:
    """Returns the first recording that meets the condition, without its events."""
    row = run(f"SELECT {_COLUMNS} FROM clips WHERE {condition}", values).fetchone()
    return None if row is None else _clip(row, ())


class ClipReader:
    """Reads the index of the recordings in `folder`, and changes nothing. The file is opened for each query, so any
    thread may call. Raises ClipIndexError."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._path = folder, folder / FILE

    def clips(self, wanted: ClipFilter, limit: int) -> list[Clip]:
        """Returns the newest `limit`, the newest first."""
        conditions, values = ["end IS NOT NULL"], list[object]()
        for condition, value in (
            ("camera = ?", wanted.camera),
            ("end >= ?", wanted.since),
            ("begin <= ?", wanted.until),
            ("id IN (SELECT clip FROM clip_events WHERE event = ?)", wanted.event),
            ("id < ?", wanted.before),
            ("kind = ?", wanted.kind),
        ):
            if value is not None:
                conditions.append(condition)
                values.append(value)
        return self._found(f"{' AND '.join(conditions)} ORDER BY id DESC LIMIT ?", (*values, limit))

    def clip(self, number: int) -> Clip | None:
        """Returns a finished clip or segment."""
        return next(iter(self._found("id = ? AND end IS NOT NULL", (number,))), None)

    def segments(self, camera: str, since: float, until: float) -> list[Clip]:
        """Returns the camera's finished segments that show part of a time, oldest first; s since the epoch."""
        condition = "camera = ? AND kind = 'segment' AND begin < ? AND end > ? ORDER BY begin, id"
        return self._found(condition, (camera, until, since))

    def times(self, camera: str, since: float, until: float) -> list[tuple[float, float]]:
        """Returns begin and end of the times that the camera's finished segments show without a gap of more than
        `GAP`, oldest first and within `since` and `until`; s since the epoch."""
        found = list[tuple[float, float]]()
        for begin, end in self._spans(camera, since, until):
            if found and begin <= found[-1][1] + GAP:
                found[-1] = found[-1][0], max(end, found[-1][1])
            else:
                found.append((begin, end))
        return [(max(begin, since), min(end, until)) for begin, end in found]

    def _spans(self, camera: str, since: float, until: float) -> list[tuple[float, float]]:
        condition = "camera = ? AND kind = 'segment' AND end IS NOT NULL AND begin < ? AND end > ?"
        query = f"SELECT begin, end FROM clips WHERE {condition} ORDER BY begin, id"
        return self._read(lambda connection: connection.execute(query, (camera, until, since)).fetchall())

    def _found(self, condition: str, values: Sequence[object]) -> list[Clip]:
        def clips(connection: sqlite3.Connection) -> list[Clip]:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM clips WHERE {condition}", values).fetchall()
            return [_clip(row, _events_of(connection, row[0])) for row in rows]

        return self._read(clips)

    def _read(self, query: Callable[[sqlite3.Connection], list[T]]) -> list[T]:
        with _faults(self._path):
            if not self._path.exists():
                return []
            connection = sqlite3.connect(read_only(self._path), uri=True, timeout=5)
            try:
                return query(connection)
            except sqlite3.OperationalError as error:
                if "no such table" in str(error) or "no such column" in str(error):  # it is being created
                    return []
                raise
            finally:
                connection.close()


def _events_of(connection: sqlite3.Connection, clip: int) -> list[int]:
    rows = connection.execute("SELECT event FROM clip_events WHERE clip = ? ORDER BY event", (clip,))
    return [number for (number,) in rows]


def _clip(row: Sequence[Any], events: Sequence[int]) -> Clip:
    return Clip(row[0], row[1], row[2], row[3], row[4], row[5], row[6], bool(row[7]), row[8], row[9], row[10], events)


@contextmanager
def _faults(path: Path) -> Iterator[None]:
    try:
        yield
    except NotOursError as error:
        hint = "It was not changed: move it away, or set recording.path to another folder"
        raise ClipIndexError(f"index {path}: {error}. {hint}") from error
    except (OSError, sqlite3.Error) as error:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        hint = "this user needs write permission for the file and its folder, and the disk needs free space"
        raise ClipIndexError(f"index {path}: {reason}: {hint}") from error
