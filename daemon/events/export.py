"""Writes events as CSV, JSON lines or Parquet, in pages, so that memory is bounded."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from types import TracebackType
from typing import Any, BinaryIO, Self

from sightd.daemon.events.event import Event
from sightd.engines.text import json_text

_AT_ONCE = 1000
"""Events in memory at a time."""
_COLUMNS = (
    "id", "kind", "phase", "began", "time", "camera", "plugin", "zone", "line", "class", "track", "person", "score",
    "facts", "snapshot", "clean_snapshot", "clip",
)  # fmt: skip
"""The fields of an event, without the version; the facts are JSON text."""


class ExportError(Exception):
    """Events cannot be written in this form; the message says what to do."""


class TextFormat(StrEnum):
    """Forms that are text, in UTF-8."""

    CSV = "csv"
    """RFC 4180, with a header; the facts are JSON, and what is null is empty."""
    JSONL = "jsonl"
    """One JSON object per line, the form of an event."""


MEDIA_TYPES: Mapping[TextFormat, str] = {
    TextFormat.CSV: "text/csv; charset=utf-8; header=present",
    TextFormat.JSONL: "application/jsonl",
}


def pages(after: Callable[[int, int], Sequence[Event]], last: int = 0) -> Iterator[Sequence[Event]]:
    """Yields all events with ids above `last` in pages. `after` returns at most so many events after an id, the oldest
    first."""
    while events := after(last, _AT_ONCE):
        yield events
        last = events[-1].id


def text_of(found: Iterator[Sequence[Event]], form: TextFormat) -> Iterator[str]:
    """Yields the text of pages of events; of CSV, the header first."""
    if form is TextFormat.CSV:
        yield _csv([_COLUMNS])
    for events in found:
        if form is TextFormat.CSV:
            yield _csv([list(_row(event).values()) for event in events])
        else:
            yield "".join(f"{json_text(event.for_json())}\n" for event in events)


def _csv(rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _row(event: Event) -> dict[str, Any]:
    form = event.for_json()
    return {name: json_text(form[name]) if name == "facts" else form[name] for name in _COLUMNS}


class ParquetWriter:
    """Writes events to a Parquet file, each page as a row group. Context manager; the file is complete after it, and
    the caller closes it. Raises ExportError if pyarrow is missing, and OSError."""

    def __init__(self, file: BinaryIO) -> None:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError as error:
            raise ExportError("Parquet requires pyarrow: pip install 'sightd[parquet]', or choose csv") from error
        types = {"id": pyarrow.int64(), "began": pyarrow.int64(), "track": pyarrow.int64(), "score": pyarrow.float64()}
        types["time"] = pyarrow.timestamp("ms", tz="UTC")
        self._arrow = pyarrow
        self._schema = pyarrow.schema([(name, types.get(name, pyarrow.string())) for name in _COLUMNS])
        self._writer = parquet.ParquetWriter(file, self._schema, compression="zstd")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def add(self, events: Sequence[Event]) -> None:
        """Writes a page."""
        rows = [_row(event) | {"time": round(1e6 * event.at) // 1000} for event in events]
        self._writer.write_table(self._arrow.Table.from_pylist(rows, schema=self._schema))
