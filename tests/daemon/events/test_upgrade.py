"""A journal of format 1 is read as it is, and upgraded in place without loss."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sightd.daemon.events import upgrade
from sightd.daemon.events.event import Event, EventKind, PendingEvent
from sightd.daemon.events.journal import Journal
from sightd.daemon.events.journal_reader import JournalReader
from sightd.daemon.events.query import INDEXES, Filter, layout_of
from sightd.daemon.events.store import EventStore
from sightd.plugins.api import Phase
from tests.support.event_counts import EventCounts
from tests.support.waiting import eventually

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


def finished(store: EventStore) -> int:
    """Does all steps that are left, and returns how many there were."""
    steps = 0
    while store.upgrading:
        store.upgrade()
        steps += 1
    return steps


def columns(path: Path) -> dict[int, tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT id, zone, line, class, track, person, score FROM events").fetchall()
    return {row[0]: row[1:] for row in rows}


def test_it_fills_the_fields_and_creates_the_indexes_in_steps(old: Path) -> None:
    with closing(EventStore(old)) as store:
        assert store.upgrading
        assert columns(old)[3] == (None,) * 6, "opening does not wait for that"
        assert finished(store) > len(INDEXES)
    assert columns(old) == {
        3: ("gate", None, "person", 7, "Ann", 0.5), 4: (None,) * 6, 5: (None, "fence", "dog", None, None, None),
    }  # fmt: skip
    with closing(sqlite3.connect(old)) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite%'")}
    assert names == {"events", *INDEXES}
    with closing(EventStore(old)) as store:
        assert not store.upgrading


def test_one_that_is_killed_in_between_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upgrade, "_AT_ONCE", 4)
    path = tmp_path / "events.db"
    write(path, OLD * 7)
    before = JournalReader(path).after(0, 100)
    steps = 0
    while True:
        store = EventStore(path)
        if not store.upgrading:
            break
        store.upgrade()
        if store.upgrading:
            with contextlib.suppress(RuntimeError), store._transaction():
                store._upgrade.step()
                raise RuntimeError("killed within a step")
        store.close()
        steps += 1
        assert JournalReader(path).after(0, 100) == before
        assert [one.id for one in JournalReader(path).latest(100, Filter(zone="gate"))] == list(range(3, 24, 3))
    store.close()
    assert steps == 6 + 1 + len(INDEXES) + 1
    assert [number for number, values in columns(path).items() if values[0] == "gate"] == list(range(3, 24, 3))


def test_events_are_written_and_found_while_it_is_upgraded(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upgrade, "_AT_ONCE", 1)
    with closing(EventStore(old)) as store:
        while store.upgrading:
            store.append([PendingEvent("zone.seen", 20.0, "yard", "zones", ENTERED)], 100)
            store.upgrade()
            last = JournalReader(old).last_id()
            assert [one.id for one in JournalReader(old).after(0, 100, Filter(person="Ann"))] == [
                3,
                *range(6, last + 1),
            ]


def test_the_journal_upgrades_in_the_background(old: Path) -> None:
    journal = Journal(old, float("inf"), 1000, EventCounts())
    journal.start()

    def complete() -> bool:
        with journal.reader.opened() as run:
            return layout_of(run).indexed

    eventually(complete)
    journal.note(EventKind.CAMERA_UP, camera="a")
    journal.close()
    assert [event.id for event in journal.reader.after(0, 10)] == [3, 4, 5, 6]


def test_a_journal_without_events_is_upgraded(tmp_path: Path) -> None:
    write(tmp_path / "events.db", ())
    with closing(EventStore(tmp_path / "events.db")) as store:
        finished(store)
        assert [one.id for one in store.append([PendingEvent("camera.up", 1.0)], 10)] == [1]
