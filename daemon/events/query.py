"""Selects events in SQL: finds the index that fits a filter, so that a page is fast among a million events."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

from sightd.daemon.events.event import COMMON_FACTS
from sightd.plugins.api import Phase

Run: TypeAlias = Callable[..., sqlite3.Cursor]
"""`sqlite3.Connection.execute` of a connection to a journal."""

FORMAT = 2
"""Format of the file that this version writes; it reads format 1 too."""
UPGRADE = "upgrade"
"""Table that exists while a file of format 1 is being upgraded."""
BY_TIME = "events_for_statistics"
INDEXES = {
    BY_TIME: "(at, kind, camera, zone, line, class)",
    "events_by_kind": "(kind)",
    "events_by_camera": "(camera) WHERE camera IS NOT NULL",
    **{
        f"events_by_{name}": f"({name}) WHERE {name} IS NOT NULL"
        for name in ("zone", "line", "class", "track", "person", "began")
    },
}
"""Each index also has the id, so that its rows are in the order of a page."""

HIGHEST = 2**63 - 1
"""Largest id in SQLite."""
_COUNTED = 2000
"""Entries of an index that are counted to compare it with others."""
_OF_RULE = (
    "EXISTS (SELECT 1 FROM json_each(CASE WHEN json_valid(facts) THEN facts ELSE '{}' END, '$.rules') WHERE value = ?)"
)
_RANGE = 50_000
"""Entries of a time range whose ids are compared; a larger range is common enough to be found without."""


class InvalidQueryError(ValueError):
    """No query can be made of this; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Selects events; None matches any, and so does an empty tuple.

    `kinds` are exact, or patterns with `*` and `?`, of which one must match. `since` and `until` are in seconds since
    the epoch, `until` is exclusive. `object_class` is the field `class`. `began` is the id of the event with which it
    began. `rule` is the name of one that selected it. `text` is contained in the facts as JSON, in upper or lower case
    if it is ASCII.
    """

    camera: str | None = None
    kinds: tuple[str, ...] = ()
    since: float | None = None
    until: float | None = None
    zone: str | None = None
    line: str | None = None
    object_class: str | None = None
    track: int | None = None
    person: str | None = None
    phase: Phase | None = None
    began: int | None = None
    rule: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file stores events. `indexed`: it has all `INDEXES`, and the common facts are columns."""

    record: str
    indexed: bool

    def column(self, name: str) -> str:
        """Returns the SQL of a field."""
        if self.indexed or name not in (*COMMON_FACTS, "phase", "began"):
            return name
        if name in COMMON_FACTS:
            return f"CASE WHEN json_valid(facts) THEN json_extract(facts, '$.{name}') END"
        return name if self is _UPGRADING else {"phase": "'once'", "began": "NULL"}[name]


_RECORD = "id, kind, at, camera, plugin, facts, phase, began, snapshot, clean_snapshot, clip"
_COMPLETE, _UPGRADING = Layout(_RECORD, indexed=True), Layout(_RECORD, indexed=False)
_FORMAT_1 = Layout("id, kind, at, camera, plugin, facts, 'once', NULL, 0, 0, 0", indexed=False)


def layout_of(run: Run) -> Layout:
    """Returns how the open file stores events. Raises sqlite3.Error."""
    if run("PRAGMA user_version").fetchone()[0] < FORMAT:
        return _FORMAT_1
    names = {name for (name,) in run("SELECT name FROM sqlite_master")}
    return _COMPLETE if UPGRADE not in names and INDEXES.keys() <= names else _UPGRADING


@dataclass(frozen=True, slots=True)
class _Term:
    """A condition, and the index that finds what meets it, if any. `count`: how many do, `_COUNTED` at most."""

    sql: str
    values: tuple[object, ...]
    index: str | None = None
    count: int = _COUNTED


class Selection:
    """The events that a filter selects among those with ids above `after` and below `before`."""

    def __init__(self, run: Run, wanted: Filter, after: int = 0, before: int = HIGHEST) -> None:
        """Raises sqlite3.Error."""
        self.layout = layout_of(run)
        self._run, self._wanted = run, wanted
        self._after, self._before = after, before
        self._kinds = self._kinds_in_file()
        self.empty = self._kinds == ()
        if self.layout.indexed and not self.empty:
            self._narrow()
        self._terms = self._all_terms()
        if self.layout.indexed and not self.empty:
            self._terms = [self._counted(term) for term in self._terms]
        self._best = min((term for term in self._terms if term.index), key=lambda term: term.count, default=None)

    @property
    def rare(self) -> str | None:
        """Name of an index that finds few events besides those selected; None if there is none."""
        return self._best.index if self._best is not None and self._best.count < _COUNTED else None

    def where(self) -> tuple[str, tuple[object, ...]]:
        """Returns the condition, and its values."""
        return self._joined(self._terms)

    def page(self, limit: int, *, newest: bool) -> list[tuple[Any, ...]]:
        """Returns at most `limit` records, the first or the newest of them, in that order. Raises sqlite3.Error."""
        if self.empty:
            return []
        order = "ORDER BY id DESC LIMIT ?" if newest else "ORDER BY id LIMIT ?"
        parts, values = [], []
        for terms in self._alternatives():
            where, found = self._joined(terms)
            parts.append(f"SELECT * FROM (SELECT {self.layout.record} FROM events {self._using} WHERE {where} {order})")
            values += [*found, limit]
        return self._run(f"{' UNION ALL '.join(parts)} {order}", (*values, limit)).fetchall()

    @property
    def _using(self) -> str:
        return "NOT INDEXED" if self._best is None else f"INDEXED BY {self._best.index}"

    def _alternatives(self) -> list[Sequence[_Term]]:
        """Returns the conditions of each kind if the index by kind is used: its rows are in the order of ids for each
        kind only."""
        if self._best is None or self._best.index != "events_by_kind" or self._kinds is None:
            return [self._terms]
        others = [term for term in self._terms if term is not self._best]
        return [[*others, _Term("kind = ?", (kind,))] for kind in self._kinds]

    def _joined(self, terms: Sequence[_Term]) -> tuple[str, tuple[object, ...]]:
        parts = ["id > ?", "id < ?", *(term.sql for term in terms)]
        values = [value for term in terms for value in term.values]
        return " AND ".join(parts), (self._after, self._before, *values)

    def _index(self, column: str) -> str | None:
        return f"events_by_{column}" if self.layout.indexed else None

    def _kinds_in_file(self) -> tuple[str, ...] | None:
        """Returns the kinds that the filter selects; None if it selects all, or patterns cannot be looked up."""
        patterns = self._wanted.kinds
        if not patterns or not any(sign in pattern for sign in "*?" for pattern in patterns):
            return tuple(dict.fromkeys(patterns)) or None
        if not self.layout.indexed:
            return None
        return tuple(kind for kind in _kinds_of(self._run) if any(fnmatchcase(kind, one) for one in patterns))

    def _all_terms(self) -> list[_Term]:
        wanted, column = self._wanted, self.layout.column
        terms = [
            _Term(f"{column(name)} = ?", (value,), self._index(name))
            for name, value in (
                ("zone", wanted.zone),
                ("line", wanted.line),
                ("track", wanted.track),
                ("person", wanted.person),
                ("began", wanted.began),
                ("class", wanted.object_class),
                ("camera", wanted.camera),
            )
            if value is not None
        ]
        if self._kinds is not None:
            terms.append(_Term(f"kind IN ({', '.join('?' * len(self._kinds))})", self._kinds, self._index("kind")))
        elif wanted.kinds:
            terms.append(_Term(f"({' OR '.join(['kind GLOB ?'] * len(wanted.kinds))})", wanted.kinds))
        others = (
            ("at >= ?", wanted.since),
            ("at < ?", wanted.until),
            (f"{column('phase')} = ?", wanted.phase),
            (_OF_RULE, wanted.rule),
            (r"facts LIKE ? ESCAPE '\'", None if wanted.text is None else _like(wanted.text)),
        )
        return terms + [_Term(sql, (value,)) for sql, value in others if value is not None]

    def _counted(self, term: _Term) -> _Term:
        if term.index is None:
            return term
        where, values = self._joined([term])
        query = f"SELECT count(*) FROM (SELECT 1 FROM events INDEXED BY {term.index} WHERE {where} LIMIT ?)"
        return replace(term, count=self._run(query, (*values, _COUNTED)).fetchone()[0])

    def _narrow(self) -> None:
        """Narrows the ids to those of the time range, unless it is long."""
        if self._wanted.since is None and self._wanted.until is None:
            return
        since = float("-inf") if self._wanted.since is None else self._wanted.since
        until = float("inf") if self._wanted.until is None else self._wanted.until
        query = f"SELECT id FROM events INDEXED BY {BY_TIME} WHERE at >= ? AND at < ? LIMIT ?"
        query = f"SELECT count(*), min(id), max(id) FROM ({query})"
        count, first, last = self._run(query, (since, until, _RANGE)).fetchone()
        if count == 0:
            self.empty = True
        elif count < _RANGE:
            self._after, self._before = max(self._after, first - 1), min(self._before, last + 1)


def _kinds_of(run: Run) -> list[str]:
    """Returns all kinds in the file, by one step in the index each."""
    query = """
    WITH RECURSIVE found (kind) AS (
        SELECT min(kind) FROM events
        UNION ALL
        SELECT (SELECT min(kind) FROM events WHERE kind > found.kind) FROM found WHERE found.kind IS NOT NULL
    )
    SELECT kind FROM found WHERE kind IS NOT NULL
    """
    return [kind for (kind,) in run(query)]


def _like(text: str) -> str:
    """Returns the LIKE pattern of text in JSON."""
    written = json.dumps(text, ensure_ascii=False)[1:-1]
    return "%" + "".join(f"\\{sign}" if sign in "%_\\" else sign for sign in written) + "%"
