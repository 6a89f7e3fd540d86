"""A journal of format 1 is read as it is, and upgraded in place without loss."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sightd.daemon.events.event import Event, PendingEvent
from sightd.daemon.events.journal_reader import JournalReader
from sightd.daemon.events.store import EventStore
from sightd.plugins.api import Phase

_FORMAT_1 = """
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL, at REAL NOT NULL, camera TEXT, plugin TEXT, facts TEXT NOT NULL
);
CREATE INDEX events_by_time ON events (at);
PRAGMA user_version = 1;
"""
ENTERED: dict[str, Any] = {"zone": "gate", "class": "person", "track": 7, "person": "Ann", "score": 0.5}
OLD: tuple[Mapping[str, Any], ...] = (ENTERED, {}, {"line": "fence", "class": "dog"})


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A journal as sightd 0.1 left it, with the events 3, 4 and 5 of `OLD`."""
    path = tmp_path / "events.db"
    write(path, OLD)
    return path


def write(path: Path, facts: tuple[Mapping[str, Any], ...], first: int = 3) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(_FORMAT_1)
        rows = [(first + i, "zone.seen", 10.5 + i, "yard", "zones", json.dumps(one)) for i, one in enumerate(facts)]
        connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", rows)
        connection.commit()


def old_events() -> list[Event]:
    return [Event(3 + i, "zone.seen", 10.5 + i, "yard", "zones", facts) for i, facts in enumerate(OLD)]


def test_it_is_read_before_it_is_upgraded_and_not_changed(old: Path) -> None:
    before = old.read_bytes()
    assert JournalReader(old).after(0, 10) == old_events()
    assert old.read_bytes() == before


def test_it_keeps_its_events_and_ids_and_takes_new_ones(old: Path) -> None:
    with closing(EventStore(old)) as store:
        [new] = store.append([PendingEvent("zone.seen", 20.0, "yard", "zones", {}, phase=Phase.BEGAN)], 100)
    assert new.id == 6
    assert JournalReader(old).after(0, 10) == [*old_events(), new]
