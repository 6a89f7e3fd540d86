"""Events are stored in order and within bounds, and anybody can read them; recording one never blocks."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from sightd.daemon.events import journal as journal_module
from sightd.daemon.events import store as store_module
from sightd.daemon.events.event import EventKind, PendingEvent
from sightd.daemon.events.journal import ROOM, Journal
from sightd.daemon.events.journal_reader import JournalError, JournalReader
from sightd.daemon.events.query import Filter
from sightd.daemon.events.store import EventStore
from sightd.plugins.api import EventRef, JsonValue, Phase
from tests.support.event_counts import EventCounts
from tests.support.waiting import eventually

Opened = Callable[..., Journal]


@pytest.fixture
def counts() -> EventCounts:
    return EventCounts()


@pytest.fixture
def opened(tmp_path: Path, counts: EventCounts, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    monkeypatch.setattr(journal_module, "_RETRY", 0.02)
    journals: list[Journal] = []

    def open_journal(
        path: Path = tmp_path / "events.db", max_count: int = 10_000, clock: float | None = None
    ) -> Journal:
        journals.append(Journal(path, 86400.0, max_count, counts, time.time if clock is None else lambda: clock))
        journals[-1].start()
        return journals[-1]

    yield open_journal
    for one in journals:
        one.close()


def kept(journal: Journal, count: int) -> list[int]:
    """Returns the IDs of all stored events, once there are `count` of them."""
    eventually(lambda: journal.reader.path.exists() and journal.fault is None)
    eventually(lambda: len(_ids(journal.reader)) == count, what=f"{count} events")
    return _ids(journal.reader)


def _ids(reader: JournalReader) -> list[int]:
    try:
        return [event.id for event in reader.after(0, 10_000)]
    except JournalError:
        return []


def test_what_was_noted_is_there_after_a_restart_and_ids_go_on(opened: Opened) -> None:
    first = opened()
    first.note(EventKind.CAMERA_DOWN, camera="door", reason="timeout", last_picture=None)
    first.close()
    second = opened()
    second.note(EventKind.CAMERA_UP, camera="door", away=2.5)
    assert kept(second, 2) == [1, 2]
    down, up = second.reader.after(0, 10)
    assert (down.kind, down.camera, down.facts) == ("camera.down", "door", {"reason": "timeout", "last_picture": None})
    assert (up.kind, up.facts) == ("camera.up", {"away": 2.5})
    assert second.reader.after(1, 10) == [up]
    assert second.reader.latest(1) == [up]


def test_who_asks_before_the_file_is_made_waits_for_it(tmp_path: Path, counts: EventCounts) -> None:
    journal = Journal(tmp_path / "events.db", 86400.0, 10_000, counts)
    with ThreadPoolExecutor(1) as asker, closing(journal):
        answer = asker.submit(journal.reader.latest, 10)
        with pytest.raises(TimeoutError):
            answer.result(0.05)
        journal.start()
        assert answer.result(5) == []


def test_the_oldest_go_beyond_the_bound_and_no_id_is_given_twice(opened: Opened) -> None:
    journal = opened(max_count=10)
    for _ in range(25):
        journal.note(EventKind.CAMERA_UP, camera="a")
    assert kept(journal, 10) == list(range(16, 26))
    journal.close()
    with sqlite3.connect(journal.reader.path) as connection:
        connection.execute("DELETE FROM events")
    connection.close()
    again = opened(max_count=10)
    again.note(EventKind.CAMERA_UP, camera="a")
    assert kept(again, 1) == [26]


def test_a_lower_bound_is_reached_in_steps(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    first = opened(max_count=100)
    for _ in range(25):
        first.note(EventKind.CAMERA_UP, camera="a")
    kept(first, 25)
    first.close()
    monkeypatch.setattr(store_module, "_DELETED", 3)
    assert kept(opened(max_count=4), 4) == [22, 23, 24, 25]


def test_what_is_too_old_goes(tmp_path: Path, opened: Opened) -> None:
    now = time.time()
    old = opened(clock=now - 86400.0 - 60)
    old.note(EventKind.DAEMON_STARTED)
    old.close()
    young = opened(clock=now - 86400.0 + 3600)
    young.note(EventKind.DAEMON_STOPPED)
    young.close()
    assert kept(opened(clock=now), 1) == [2]


def test_events_are_asked_for_by_camera_kind_and_time(opened: Opened) -> None:
    journal = opened()
    journal.note(EventKind.CAMERA_DOWN, camera="a")
    journal.note(EventKind.CAMERA_DOWN, camera="b")
    journal.note(EventKind.PLUGIN_DOWN, plugin="detector", reason="error")
    kept(journal, 3)
    reader = journal.reader
    assert [event.id for event in reader.after(0, 10, Filter(camera="b"))] == [2]
    assert [event.id for event in reader.latest(10, Filter(kinds=("camera.down",)))] == [1, 2]
    assert reader.after(0, 10, Filter(since=time.time() + 60)) == []


def test_no_password_of_an_address_is_kept(opened: Opened, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    journal = opened()
    journal.note(EventKind.CAMERA_DOWN, camera="a", reason="rtsp://me:hunter2@camera/1 is away")
    kept(journal, 1)
    assert "hunter2" not in str(journal.reader.after(0, 1))
    assert "hunter2" not in caplog.text


def test_an_event_of_a_plug_in_has_its_own_time_and_no_secrets(opened: Opened, counts: EventCounts) -> None:
    journal = opened()
    facts = {"at": "rtsp://me:hunter2@camera/1", "seen": [{"url": "rtsp://me:hunter2@camera/2", "score": 0.5}]}
    journal.record(PendingEvent("dwell.long", 1000.25, "door", "dwell", facts))
    kept(journal, 1)
    [event] = journal.reader.after(0, 1)
    assert (event.kind, event.at, event.camera, event.plugin) == ("dwell.long", 1000.25, "door", "dwell")
    assert event.facts["seen"][0]["score"] == 0.5
    assert "hunter2" not in str(event)
    assert counts.kinds == {"dwell.long": 1}


def test_an_event_about_an_earlier_one_has_its_id_and_changes_nothing_of_it(opened: Opened) -> None:
    journal = opened()
    seen: dict[str, JsonValue] = {"by": "rtsp://me:hunter2@camera/1", "box": [1, 2.5]}
    other: dict[str, JsonValue] = {"box": [0, 2.5]}
    doors = [("door", other), ("yard", seen), ("door", seen)]
    for camera, facts in doors:
        journal.record(PendingEvent("door.opened", 1000.25, camera, "door", facts))
    kept(journal, 3)
    before = journal.reader.after(0, 10)
    about = EventRef("door.opened", 1000.25, seen)
    journal.record(PendingEvent("door.described", 1010.0, "door", "describe", {"text": "A door."}, about))
    kept(journal, 4)
    *earlier, event = journal.reader.after(0, 10)
    assert event.facts == {"text": "A door.", "event": 3}
    assert earlier == before
    assert "hunter2" not in str(event)


@pytest.mark.parametrize(
    "about",
    [
        EventRef("door.shut", 1000.25, {"by": "hand"}),
        EventRef("door.opened", 1000.5, {"by": "hand"}),
        EventRef("door.opened", 1000.25, {}),
    ],
    ids=["kind", "time", "facts"],
)
def test_an_event_about_one_that_is_not_stored_says_so(about: EventRef, opened: Opened) -> None:
    journal = opened()
    journal.record(PendingEvent("door.opened", 1000.25, "door", "door", {"by": "hand"}))
    journal.record(PendingEvent("door.described", 1010.0, "door", "describe", {}, about))
    kept(journal, 2)
    assert journal.reader.latest(1)[0].facts == {"event": None}


def test_an_event_finds_the_one_that_it_is_about_after_a_restart(opened: Opened) -> None:
    first = opened()
    first.record(PendingEvent("door.opened", 1000.25, "door", "door"))
    kept(first, 1)
    first.close()
    second = opened()
    second.record(PendingEvent("door.described", 1010.0, "door", "describe", {}, EventRef("door.opened", 1000.25)))
    kept(second, 2)
    assert second.reader.latest(1)[0].facts == {"event": 1}


def test_an_event_finds_one_to_which_the_journal_has_added_facts(opened: Opened) -> None:
    journal = opened()
    facts: dict[str, JsonValue] = {"by": "Ägidius", "share": 1.0}
    about = EventRef("door.opened", 1000.25, facts)
    journal.record(PendingEvent("door.opened", 1000.25, "door", "door", facts, rules=("night", "all")))
    journal.record(PendingEvent("door.described", 1010.0, "door", "describe", {}, about))
    journal.record(PendingEvent("door.seen", 1011.0, "door", "x", {}, EventRef("door.described", 1010.0)))
    kept(journal, 3)
    opening, described, seen = journal.reader.after(0, 10)
    assert (opening.facts, opening.rules) == ({**facts, "rules": ["night", "all"]}, ["night", "all"])
    assert (described.facts, described.rules) == ({"event": 1}, ())
    assert seen.facts == {"event": 2}


def test_an_update_and_the_end_name_the_event_that_began_by_its_id(opened: Opened) -> None:
    journal = opened()
    began = PendingEvent("zone.entered", 1000.25, "yard", "zones", {"zone": "gate", "track": 7}, phase=Phase.BEGAN)
    journal.record(began)
    about = EventRef("zone.entered", 1000.25, dict(began.facts))
    for kind, phase in (("zone.entered", Phase.UPDATED), ("zone.left", Phase.ENDED)):
        journal.record(PendingEvent(kind, 1001.0, "yard", "zones", {"zone": "gate"}, about, phase))
    kept(journal, 3)
    first, update, end = journal.reader.after(0, 10)
    assert (first.phase, first.began) == (Phase.BEGAN, None)
    assert (update.phase, update.began, update.facts) == (Phase.UPDATED, 1, {"zone": "gate"})
    assert (end.kind, end.phase, end.began) == ("zone.left", Phase.ENDED, 1)


def test_the_end_of_what_is_no_longer_stored_says_so(opened: Opened) -> None:
    journal = opened()
    journal.record(PendingEvent("zone.left", 1.0, "yard", "zones", {}, EventRef("zone.entered", 0.5), Phase.ENDED))
    kept(journal, 1)
    [event] = journal.reader.after(0, 10)
    assert (event.phase, event.began) == (Phase.ENDED, None)


def test_what_is_noted_can_be_ended_by_what_is_noted_later(opened: Opened) -> None:
    journal = opened()
    down = journal.note(EventKind.CAMERA_DOWN, camera="a", phase=Phase.BEGAN, reason="rtsp://me:hunter2@camera/1")
    journal.note(EventKind.CAMERA_UP, camera="a", phase=Phase.ENDED, about=down, away=2.5)
    kept(journal, 2)
    up = journal.reader.latest(1)[0]
    assert (up.phase, up.began, up.facts) == (Phase.ENDED, 1, {"away": 2.5})


def test_whether_an_event_has_media_is_stored_with_it(opened: Opened) -> None:
    journal = opened()
    journal.record(PendingEvent("zone.entered", 1.0, "yard", "zones", snapshot=True, clip=True))
    kept(journal, 1)
    [event] = journal.reader.after(0, 10)
    assert (event.snapshot, event.clean_snapshot, event.clip) == (True, False, True)


def test_events_wait_in_memory_until_the_journal_can_be_written(
    tmp_path: Path, opened: Opened, counts: EventCounts, caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "state"
    place.write_text("a file where the folder should be")
    journal = opened(place / "events.db")
    for _ in range(5):
        journal.note(EventKind.CAMERA_DOWN, camera="a")
    eventually(lambda: "5 events are queued" in (journal.fault or ""))
    assert counts.able is False
    assert str(place) in (journal.fault or "")
    time.sleep(0.2)
    assert len([line for line in caplog.messages if "cannot be written" in line]) == 1, "logged once, then at intervals"
    place.unlink()
    assert kept(journal, 5) == [1, 2, 3, 4, 5]
    assert counts.able
    assert counts.lost_ones == 0


def test_what_has_no_room_is_counted_and_that_is_an_event(tmp_path: Path, opened: Opened, counts: EventCounts) -> None:
    place = tmp_path / "state"
    place.write_text("")
    journal = opened(place / "events.db")
    eventually(lambda: journal.fault is not None)
    begun = time.monotonic()
    for _ in range(ROOM + 300):
        journal.note(EventKind.CAMERA_UP, camera="a")
    assert time.monotonic() - begun < 5, "who notes it never waits"
    lost = counts.lost_ones
    assert 0 < lost <= 300
    place.unlink()
    eventually(lambda: journal.reader.path.exists() and journal.fault is None)
    eventually(
        lambda: sum(counts_lost(journal)) == lost, 30, "written in some twenty batches, on a disk that may be busy"
    )
    eventually(lambda: counts.waiting_ones == 0, 30)
    assert len(_ids(journal.reader)) == ROOM + 300 - lost + len(counts_lost(journal))


def counts_lost(journal: Journal) -> list[int]:
    """Returns the counts of lost events, one for each run of the journal's thread in which events were lost."""
    return [event.facts["count"] for event in journal.reader.after(0, 10_000, Filter(kinds=("events.lost",)))]


def test_followers_are_woken_and_find_what_woke_them(opened: Opened) -> None:
    journal = opened()
    woken = threading.Event()
    with journal.followed(woken.set):
        journal.note(EventKind.CAMERA_UP, camera="a")
        assert woken.wait(5)
        assert len(journal.reader.after(0, 10)) == 1
    woken.clear()
    journal.note(EventKind.CAMERA_DOWN, camera="a")
    kept(journal, 2)
    assert not woken.is_set()


def test_a_file_of_something_else_is_left_as_it_is(tmp_path: Path, opened: Opened) -> None:
    path = tmp_path / "events.db"
    path.write_bytes(b"no database at all" * 100)
    journal = opened(path)
    eventually(lambda: "move it away" in (journal.fault or ""))
    assert path.read_bytes() == b"no database at all" * 100
    path.unlink()
    journal.note(EventKind.CAMERA_UP, camera="a")
    assert kept(journal, 1) == [1]


def test_one_that_a_newer_sightd_made_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    EventStore(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 7")
    connection.close()
    with pytest.raises(JournalError, match="newer sightd"):
        EventStore(path)


def test_where_there_is_no_journal_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="does not exist or is empty"):
        JournalReader(tmp_path / "events.db").latest(1)
    assert not list(tmp_path.iterdir()), "who reads makes nothing"


def test_a_clock_that_jumps_ahead_and_back_deletes_nothing_and_the_order_stays(
    tmp_path: Path, counts: EventCounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "_TIDY_EVERY", 0.0)
    now = time.time()
    wall = [now]
    journal = Journal(tmp_path / "events.db", 86400.0, 1000, counts, lambda: wall[0])
    journal.start()
    for offset in (0, 365 * 86400, -5 * 3600, 40 * 86400):
        wall[0] = now + offset
        journal.note(EventKind.CAMERA_UP, camera="a")
        eventually(lambda: counts.waiting_ones == 0 and journal.fault is None)
        eventually(lambda: _ids(journal.reader)[-1:] == [sum(counts.kinds.values())])
    journal.close()
    assert [event.id for event in journal.reader.after(0, 10)] == [1, 2, 3, 4]
    later = Journal(tmp_path / "events.db", 86400.0, 1000, counts, lambda: now + 90 * 86400)
    later.start()
    later.note(EventKind.CAMERA_DOWN, camera="a")
    assert kept(later, 5) == [1, 2, 3, 4, 5], "nor does one that jumped while nothing ran"
    later.close()


def test_what_is_noted_before_the_first_look_does_not_vouch_for_the_clock(tmp_path: Path, counts: EventCounts) -> None:
    now, path = time.time(), tmp_path / "events.db"
    for wall in (now, now + 90 * 86400):
        journal = Journal(path, 86400.0, 1000, counts, lambda wall=wall: wall)  # type: ignore[misc]
        journal.note(EventKind.DAEMON_STARTED)
        journal.start()
        journal.close()
    assert [event.id for event in JournalReader(path).after(0, 10)] == [1, 2]


def test_a_file_that_was_deleted_or_put_back_is_found_out_and_events_are_kept(tmp_path: Path, opened: Opened) -> None:
    journal = opened()
    journal.note(EventKind.CAMERA_UP, camera="a")
    kept(journal, 1)
    for file in tmp_path.iterdir():
        file.unlink()
    journal.note(EventKind.CAMERA_DOWN, camera="a")
    kept(journal, 1)
    [event] = journal.reader.after(0, 10)
    assert (event.id, event.kind) == (2, "camera.down"), "those who follow wait for ids above the last one"


def test_a_reader_of_a_file_that_was_deleted_finds_a_new_one_without_a_new_event(
    tmp_path: Path, opened: Opened
) -> None:
    journal = opened()
    journal.note(EventKind.CAMERA_UP, camera="a")
    kept(journal, 1)
    for file in tmp_path.iterdir():
        file.unlink()
    assert journal.reader.after(0, 10) == []
    assert journal.reader.last_id() == 1, "ids go on"


def text(path: Path) -> None:
    path.write_text("my notes\n")


def other_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE photos (id INTEGER)")


def nothing(path: Path) -> None:
    path.touch(0o644)


@pytest.mark.parametrize("make", [text, other_database, nothing])
def test_a_file_that_is_no_journal_is_not_touched(make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "something"
    make(path)
    path.chmod(0o644)
    before = path.stat().st_mode, path.stat().st_mtime_ns, path.read_bytes()
    with pytest.raises(JournalError, match="not changed: move it away"):
        EventStore(path)
    assert (path.stat().st_mode, path.stat().st_mtime_ns, path.read_bytes()) == before
    assert [one.name for one in tmp_path.iterdir()] == ["something"]


def test_only_its_user_can_read_a_journal_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        EventStore(tmp_path / "home" / "state" / "events.db").close()
    finally:
        os.umask(before)
    assert not [one for one in tmp_path.rglob("*") if one.stat().st_mode & 0o077]
