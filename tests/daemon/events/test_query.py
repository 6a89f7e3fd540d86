"""A filter selects the same events in every format of the file and with every index, and no query runs for long."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from sightd.daemon.events import journal_reader, query
from sightd.daemon.events.event import Event, PendingEvent, common
from sightd.daemon.events.journal_reader import JournalReader, SlowQueryError
from sightd.daemon.events.query import HIGHEST, Filter
from sightd.daemon.events.store import EventStore
from sightd.plugins.api import EventRef, Phase

pytestmark = pytest.mark.computing

_CHOICES: Mapping[str, tuple[Any, ...]] = {
    "camera": ("gate", "yard", "none"),
    "kinds": (("zone.entered",), ("zone.*",), ("*.down", "line.crossed"), ("zone.?eft",), ("no.such",), ("no.*",)),
    "since": (0.0, 40.0, 150.0, 1e9),
    "until": (0.0, 60.0, 160.0, 1e9),
    "zone": ("drive", "100%_"),
    "line": ("fence",),
    "object_class": ("dog", "cat"),
    "track": (3, 7),
    "person": ("Ann", "Zoë"),
    "phase": (Phase.ONCE, Phase.BEGAN, Phase.ENDED),
    "began": (1, 99),
    "rule": ("night", "no"),
    "text": ("ZOË", "zoë", 'say "hi"', "100%_", "\\", "nowhere"),
}


def happened() -> list[PendingEvent]:
    """200 events, of which some are earlier than those before them: the clock was set back."""
    draw = random.Random(1)
    events = [PendingEvent("zone.entered", 1.0, "gate", "zones", {"zone": "drive"}, phase=Phase.BEGAN)]
    began = EventRef("zone.entered", 1.0, {"zone": "drive"})
    for number in range(199):
        kind = draw.choice(("zone.entered", "zone.left", "line.crossed", "camera.down"))
        facts = {
            name: draw.choice(values)
            for name, values in (
                ("zone", ("drive", "100%_", 5)), ("line", ("fence", "wall")), ("class", ("dog", "car")),
                ("track", (3, 4)), ("person", ("Ann", "Zoë")), ("note", ('say "hi"', "a\\b")),
            )
            if draw.random() < 0.4
        }  # fmt: skip
        ended = kind == "zone.left" and draw.random() < 0.5
        about, phase = (began, Phase.ENDED) if ended else (None, Phase.ONCE)
        at = float(number if number < 100 else number - 50)
        rules = draw.choice(((), ("night",), ("day", "night"), ("nights",)))
        camera = draw.choice(("gate", "yard", None))
        events.append(PendingEvent(kind, at, camera, "zones", facts, about, phase, rules=rules))
    return events


def chosen(event: Event, wanted: Filter) -> bool:
    """Whether `wanted` selects the event, by its definition."""
    facts = common(event.facts)
    equal = (
        (event.camera, wanted.camera), (facts["zone"], wanted.zone), (facts["line"], wanted.line),
        (facts["class"], wanted.object_class), (facts["track"], wanted.track), (facts["person"], wanted.person),
        (event.phase, wanted.phase), (event.began, wanted.began),
    )  # fmt: skip
    text = json.dumps(event.facts, ensure_ascii=False)
    sought = None if wanted.text is None else json.dumps(wanted.text, ensure_ascii=False)[1:-1]
    return (
        all(want is None or have == want for have, want in equal)
        and (wanted.rule is None or wanted.rule in event.rules)
        and (not wanted.kinds or any(fnmatchcase(event.kind, kind) for kind in wanted.kinds))
        and (wanted.since is None or event.at >= wanted.since)
        and (wanted.until is None or event.at < wanted.until)
        and (sought is None or _ascii_lower(sought) in _ascii_lower(text))
    )


def _ascii_lower(text: str) -> str:
    return "".join(sign.lower() if sign.isascii() else sign for sign in text)


def filters() -> Iterator[Filter]:
    """Each value of each field by itself, and 30 combinations of two or three fields."""
    for name, values in _CHOICES.items():
        yield from (Filter(**{name: value}) for value in values)
    draw = random.Random(2)
    for _ in range(30):
        yield Filter(
            **{name: draw.choice(_CHOICES[name]) for name in draw.sample(sorted(_CHOICES), draw.choice((2, 3)))}
        )


@pytest.fixture(scope="module", params=["format 2", "being upgraded", "format 1"])
def journal(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[JournalReader, list[Event]]:
    """A journal in a format, and its events."""
    path = tmp_path_factory.mktemp("journal") / "events.db"
    with closing(EventStore(path)) as store:
        events = store.append(happened(), 1000)
    if request.param == "format 1":
        to_format_1(path)
        return JournalReader(path), [replace(event, phase=Phase.ONCE, began=None) for event in events]
    if request.param == "being upgraded":
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(
                "UPDATE events SET zone = NULL, class = NULL WHERE id < 100; DROP INDEX events_by_line"
            )
        with closing(EventStore(path)) as store:
            assert store.upgrading
    return JournalReader(path), events


def to_format_1(path: Path) -> None:
    """Makes the file as an older sightd would have left it."""
    with closing(sqlite3.connect(path)) as connection:
        for name in query.INDEXES:
            connection.execute(f"DROP INDEX {name}")
        names = [row[1] for row in connection.execute("PRAGMA table_info(events)")]
        for name in names[6:]:
            connection.execute(f"ALTER TABLE events DROP COLUMN {name}")
        connection.executescript("CREATE INDEX events_by_time ON events (at); PRAGMA user_version = 1")


def test_a_filter_selects_what_its_definition_says(journal: tuple[JournalReader, list[Event]]) -> None:
    reader, events = journal
    found = 0
    for wanted in filters():
        expected = [event for event in events if chosen(event, wanted)]
        assert reader.latest(1000, wanted) == expected, wanted
        assert reader.after(50, 7, wanted, 150) == [one for one in expected if 50 < one.id < 150][:7], wanted
        found += bool(expected)
    assert found > 30, "most filters select something"


def test_a_page_of_frequent_events_has_the_newest_of_each_kind_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query, "_COUNTED", 3)
    monkeypatch.setattr(query, "_RANGE", 3)
    with closing(EventStore(tmp_path / "events.db")) as store:
        events = store.append(happened(), 1000)
    reader = JournalReader(tmp_path / "events.db")
    for wanted in filters():
        expected = [event for event in events if chosen(event, wanted)]
        assert reader.latest(7, wanted, 150) == [one for one in expected if one.id < 150][-7:], wanted


def test_an_event_is_found_by_its_id(journal: tuple[JournalReader, list[Event]]) -> None:
    reader, events = journal
    assert reader.event(42) == events[41]
    assert reader.event(201) is None


@pytest.mark.parametrize(
    ("wanted", "kinds"), [(Filter(zone="drive"), 1), (Filter(kinds=("zone.*",)), 2), (Filter(began=1), 1)]
)
def test_a_filtered_page_does_not_read_all_events(wanted: Filter, kinds: int, tmp_path: Path) -> None:
    with closing(EventStore(tmp_path / "events.db")) as store:
        store.append(happened(), 1000)
    with closing(sqlite3.connect(tmp_path / "events.db")) as connection:
        statements: list[str] = []
        selection = query.Selection(connection.execute, wanted)
        connection.set_trace_callback(statements.append)
        selection.page(5, newest=True)
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statements[0]}")]
    assert not [step for step in plan if step.startswith("SCAN events")]
    by_index = [step for step in plan if step.startswith("SEARCH events USING INDEX events_by_")]
    assert len(by_index) == kinds, "a kind by itself is in the order of the page"


def test_who_follows_reads_each_event_once(journal: tuple[JournalReader, list[Event]]) -> None:
    reader, events = journal
    wanted = Filter(person="Zoë")
    expected = [event for event in events if chosen(event, wanted)]
    found, last = reader.follow(0, 10, wanted)
    assert (found, last) == (expected[:10], expected[9].id)
    found, last = reader.follow(last, 1000, wanted)
    assert (found, last) == (expected[10:], 200)
    assert reader.follow(300, 10, wanted) == ([], 300)


def test_a_query_that_takes_too_long_is_ended(
    journal: tuple[JournalReader, list[Event]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_reader, "_STEPS", 1)
    hurried = JournalReader(journal[0].path, budget=0.0)
    with pytest.raises(SlowQueryError, match="longer than 0 s: narrow it by a shorter time range"):
        hurried.latest(1, Filter(text="nowhere"))


def test_a_page_ends_before_the_highest_id(tmp_path: Path) -> None:
    with closing(EventStore(tmp_path / "events.db", after=HIGHEST - 10)) as store:
        [event] = store.append([PendingEvent("camera.up", 1.0)], 10)
    assert JournalReader(tmp_path / "events.db").latest(1) == [event]
