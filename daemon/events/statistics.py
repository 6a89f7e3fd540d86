"""Counts the events of a journal per hour or day, by kind, camera, zone, line, class or person."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from sightd.daemon.events.journal_reader import JournalReader
from sightd.daemon.events.query import BY_TIME, Filter, InvalidQueryError, Selection

MAX_PERIODS = 2000
MAX_COUNTS = 10_000
"""Most periods, and most counts, of one answer."""
DEFAULT_SPAN = 86400.0
"""Seconds that are counted if the filter does not say since when."""


class Period(StrEnum):
    """How long each period is that is counted by itself."""

    HOUR = "hour"
    DAY = "day"
    """From midnight to midnight of the time zone, which may be 23 or 25 hours."""


class By(StrEnum):
    """A field by whose values events are counted."""

    KIND = "kind"
    CAMERA = "camera"
    ZONE = "zone"
    LINE = "line"
    CLASS = "class"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Grouping:
    """How events are counted: in periods of `timezone` (None: of this computer), or all together if `per` is None; by
    the values of the fields `by`."""

    per: Period | None = None
    by: tuple[By, ...] = ()
    timezone: tzinfo | None = None


@dataclass(frozen=True, slots=True)
class Statistics:
    """`since` and `until` in seconds since the epoch, at the edges of periods. `counts` are pairs of the beginning of a
    period and the values of the fields, and the number of events, in this order; those of zero events are left out."""

    since: float
    until: float
    grouping: Grouping
    counts: tuple[tuple[float, tuple[str | None, ...], int], ...]

    def for_json(self) -> dict[str, Any]:
        """Returns the answer of `/api/v1/events/statistics`; times have the offset of the time zone."""
        zone, per = self.grouping.timezone, self.grouping.per
        return {
            "since": _iso(self.since, zone),
            "until": _iso(self.until, zone),
            "per": per,
            "by": list(self.grouping.by),
            "counts": [self._count_for_json(*one) for one in self.counts],
        }

    def _count_for_json(self, at: float, values: tuple[str | None, ...], count: int) -> dict[str, Any]:
        time = {} if self.grouping.per is None else {"time": _iso(at, self.grouping.timezone)}
        return {**time, **dict(zip(self.grouping.by, values, strict=True)), "count": count}


def timezone_named(name: str) -> tzinfo:
    """Returns the time zone "UTC" or "Europe/Berlin". Raises InvalidQueryError if it is unknown here."""
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:
        raise InvalidQueryError(f"the time zone {name!r} is unknown: write one such as UTC or Europe/Berlin") from error


def statistics(reader: JournalReader, wanted: Filter, grouping: Grouping, now: float) -> Statistics:
    """Counts the events that `wanted` selects until `wanted.until`, or now, and since `wanted.since`, or for the day
    before. The first period is counted from its beginning, the last to its end. Raises InvalidQueryError and
    JournalError."""
    until = now if wanted.until is None else wanted.until
    since = until - DEFAULT_SPAN if wanted.since is None else wanted.since
    if since >= until:
        raise InvalidQueryError("since is not before until")
    edges = list(_edges(since, until, grouping))
    found: list[tuple[float, tuple[str | None, ...], int]] = []
    with reader.opened() as run:
        selection = Selection(run, replace(wanted, since=None, until=None))
        query, values = _query(selection, grouping.by)
        for first, last in pairwise(edges):
            rows = () if selection.empty else run(query, (*values, first, last))
            found += [(first, tuple(row[:-1]), row[-1]) for row in rows if row[-1]]
            if len(found) > MAX_COUNTS:
                raise InvalidQueryError(f"these are more than {MAX_COUNTS} counts: choose fewer fields or periods")
    return Statistics(edges[0], edges[-1], grouping, tuple(found))


def _query(selection: Selection, by: tuple[By, ...]) -> tuple[str, tuple[object, ...]]:
    """Returns the statement that counts a period, and its values but the period's begin and end."""
    columns = [selection.layout.column(name) for name in by]
    index = f"INDEXED BY {selection.rare or BY_TIME}" if selection.layout.indexed else ""
    where, values = selection.where()
    grouped = f"GROUP BY {', '.join(columns)} ORDER BY {', '.join(columns)}" if columns else ""
    selected = ", ".join([*columns, "count(*)"])
    return f"SELECT {selected} FROM events {index} WHERE {where} AND at >= ? AND at < ? {grouped}", values


def _edges(since: float, until: float, grouping: Grouping) -> Iterator[float]:
    """Yields the beginnings of all periods and the end of the last. Raises InvalidQueryError if there are too
    many."""
    if grouping.per is None:
        yield from (since, until)
        return
    at = _beginning(since, grouping)
    for _ in range(MAX_PERIODS + 1):
        yield at
        if at >= until:
            return
        at = _beginning(at + (3600 if grouping.per is Period.HOUR else 26 * 3600), grouping)
    raise InvalidQueryError(f"these are more than {MAX_PERIODS} periods: choose a shorter time range, or days")


def _beginning(at: float, grouping: Grouping) -> float:
    """Returns when the period began that contains `at`."""
    local = _local(at, grouping.timezone)
    if grouping.per is Period.DAY:
        return local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0).timestamp()
    offset = (local.astimezone(grouping.timezone).utcoffset() or timedelta()).total_seconds()
    return (at + offset) // 3600 * 3600 - offset


def _local(at: float, timezone: tzinfo | None) -> datetime:
    """Returns the time there; without a zone if `timezone` is None, so that its methods find this computer's."""
    try:
        return datetime.fromtimestamp(at, timezone)
    except (ValueError, OverflowError, OSError) as error:
        raise InvalidQueryError(f"{at:g} is not a time of the calendar") from error


def _iso(at: float, timezone: tzinfo | None) -> str:
    return _local(at, timezone).astimezone(timezone).isoformat(timespec="seconds")
