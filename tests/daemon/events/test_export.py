"""All events can be written as CSV, JSON lines or Parquet, in pages."""

from __future__ import annotations

import builtins
import csv
import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sightd.daemon.events.event import Event
from sightd.daemon.events.export import ExportError, ParquetWriter, TextFormat, pages, text_of
from sightd.plugins.api import Phase

EVENTS = [
    Event(1, "camera.down", 1.001, "gate", None, {"reason": "timeout"}),
    Event(5, "zone.left", 1.7e9 + 0.29, "gate", "zones", {
        "zone": 'the "drive", left', "class": "dog", "track": 7, "person": "Zoë\nBell", "score": 0.5,
    }, Phase.ENDED, 1, clip=True),
    *(Event(6 + number, "camera.up", 2.0, None, None, {}) for number in range(2500)),
]  # fmt: skip


def after(last: int, limit: int) -> Sequence[Event]:
    """A journal that holds `EVENTS`."""
    assert limit <= 1000, "memory is bounded"
    return [event for event in EVENTS if event.id > last][:limit]


def text(form: TextFormat) -> str:
    return "".join(text_of(pages(after), form))


def test_lines_of_json_are_the_form_of_events() -> None:
    assert [json.loads(line) for line in text(TextFormat.JSONL).splitlines()] == [one.for_json() for one in EVENTS]


def test_a_table_has_a_column_for_each_field() -> None:
    rows = list(csv.DictReader(io.StringIO(text(TextFormat.CSV), newline="")))
    assert len(rows) == len(EVENTS)
    form = EVENTS[1].for_json()
    assert json.loads(rows[1]["facts"]) == form["facts"]
    assert list(rows[1]) == [name for name in form if name != "schema"]
    for name in rows[1].keys() - {"facts"}:
        assert rows[1][name] == ("" if form[name] is None else str(form[name])), name


def test_an_export_begins_after_an_id() -> None:
    assert next(iter(pages(after, 5)))[0].id == 6


def test_parquet_has_types(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    with (tmp_path / "events.parquet").open("wb") as file, ParquetWriter(file) as writer:
        for events in pages(after):
            writer.add(events)
    read: Any = parquet.ParquetFile(tmp_path / "events.parquet")
    assert read.num_row_groups == 3
    rows = read.read().to_pylist()
    assert len(rows) == len(EVENTS)
    assert [row["time"] for row in rows[:2]] == [
        datetime(1970, 1, 1, 0, 0, 1, 1000, UTC), datetime(2023, 11, 14, 22, 13, 20, 290000, UTC),
    ]  # fmt: skip
    form = EVENTS[1].for_json()
    for name in rows[1].keys() - {"time", "facts"}:
        assert rows[1][name] == form[name], name


def test_without_pyarrow_parquet_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *others: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *others)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ExportError, match=r"pip install 'sightd\[parquet\]', or choose csv"):
        ParquetWriter(io.BytesIO())
