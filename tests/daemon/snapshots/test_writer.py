"""Writing snapshots: what is linked is written, and what cannot be is counted and reported."""

from __future__ import annotations

import errno
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from sightd.daemon.events.event import PendingEvent
from sightd.daemon.events.journal import ROOM
from sightd.daemon.snapshots import writer as writer_module
from sightd.daemon.snapshots.store import SnapshotStore
from tests.daemon.snapshots.site import Site, event
from tests.support.waiting import eventually

pytestmark = pytest.mark.waiting


def dwell(*numbers: int) -> Sequence[PendingEvent]:
    return [event(number, "zone.dwell") for number in numbers]


def test_nobody_waits_while_the_disk_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    going = threading.Event()
    add = SnapshotStore.add
    monkeypatch.setattr(SnapshotStore, "add", lambda *values: going.wait(30) and add(*values))
    with Site(tmp_path).start() as site:
        site.analysed(1, events=dwell(1))
        site.analysed(2, events=dwell(2))
        eventually(lambda: site.journal.last_id == 2, 10)
        assert site.writer.is_pending(1)
        assert site.writer.is_pending(2)
        assert not site.writer.is_pending(3)
        going.set()
        site.settle(2)
        assert len(site.files()) == 4


def test_a_snapshot_of_an_event_that_the_journal_lost_is_freed(tmp_path: Path) -> None:
    with Site(tmp_path) as site:  # the journal does not run yet, and keeps the newest events
        site.analysed(1, events=dwell(1))
        for _ in range(ROOM):
            site.journal.record(PendingEvent("line.crossed", 1.0, "gate"))
        assert site.writer.used == 0
        site.start()
        eventually(lambda: site.journal.last_id == ROOM + 1, 20)
        assert site.files() == []


def test_an_event_whose_id_is_not_known_yet_may_be_the_one_that_is_asked_for(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        (pending,) = site.analysed(1, events=dwell(1))
        assert pending.listener is not None
        assert site.writer.is_pending(5)
        pending.listener.stored(5)
        assert site.writer.is_pending(5)
        assert not site.writer.is_pending(6)
        site.writer.start()
        eventually(lambda: not site.writer.is_pending(5), 10)


def test_a_folder_that_cannot_be_used_is_reported_and_no_event_links_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "_CHECK_EVERY", 0.1)
    (tmp_path / "snapshots").write_text("a file")
    with Site(tmp_path).start() as site:
        eventually(lambda: site.writer.fault is not None, 10)
        assert "snapshots cannot be kept" in str(site.writer.fault)
        (pending,) = site.analysed(1, events=dwell(1))
        assert (pending.snapshot, site.counts.drops) == (False, ["disk"])
        (tmp_path / "snapshots").unlink()
        eventually(lambda: site.writer.fault is None, 10)
        assert site.analysed(2, events=dwell(2))[0].snapshot
        site.settle(2)
        assert site.files() == ["2-clean.jpg", "2.jpg"]


def test_a_full_disk_drops_the_oldest_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Site(tmp_path).start() as site:
        site.analysed(1, events=dwell(1))
        site.settle(1)
        add = SnapshotStore.add

        def full(store: SnapshotStore, *values: object) -> None:
            if store.size:
                raise OSError(errno.ENOSPC, "No space left on device")
            add(store, *values)  # type: ignore[arg-type]

        monkeypatch.setattr(SnapshotStore, "add", full)
        site.analysed(2, events=dwell(2))
        site.settle(2)
        assert site.files() == ["2-clean.jpg", "2.jpg"]
        assert (site.counts.deletions, site.writer.fault) == (["disk"], None)


def test_what_cannot_be_drawn_is_counted_and_others_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with Site(tmp_path).start() as site:
        draws = site.pipeline.draw
        monkeypatch.setattr(site.pipeline, "draw", lambda *_: 1 / 0)
        site.analysed(1, events=dwell(1))
        site.settle(1)
        monkeypatch.setattr(site.pipeline, "draw", draws)
        site.analysed(2, events=dwell(2))
        site.settle(2)
        assert site.counts.drops == ["failed"]
        assert site.files() == ["2-clean.jpg", "2.jpg"]
        assert "could not be drawn" in caplog.text
        assert site.writer.used == 0


def test_a_stop_writes_what_the_journal_has_stored(tmp_path: Path) -> None:
    site = Site(tmp_path)
    for number in range(5):
        site.analysed(number, events=dwell(number))
    with site.start():
        pass
    assert len(site.files()) == 10
    assert site.writer.used == 0
