"""The folder of the snapshots: private, complete, bounded by age, size and free space."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from sightd.daemon.snapshots.store import ANNOTATED, CLEAN, SnapshotStore, find_snapshot
from tests.daemon.snapshots.site import Counts, options

_NOW = 1_700_000_000.0


def opened(folder: Path, counts: Counts | None = None, free: int = 10**9, **changed: Any) -> SnapshotStore:
    return SnapshotStore(folder, options(**changed), counts or Counts(), free=lambda _: free, clock=lambda: _NOW)


def add(store: SnapshotStore, event: int, age: float = 0.0, size: int = 500) -> None:
    store.add("gate", event, _NOW - age, bytes(size), bytes(size))


def kept(store: SnapshotStore) -> list[str]:
    return sorted(path.name for path in store.folder.glob("*/*"))


def test_only_the_user_may_read_what_is_stored(tmp_path: Path) -> None:
    store = opened(tmp_path / "snapshots")
    add(store, 7)
    assert kept(store) == ["7-clean.jpg", "7.jpg"]
    modes = [path.stat().st_mode & 0o777 for path in (store.folder, store.folder / "gate", store.folder / "gate/7.jpg")]
    assert modes == [0o700, 0o700, 0o600]


def test_a_file_is_found_only_for_the_event_of_its_time(tmp_path: Path) -> None:
    add(store := opened(tmp_path), 7, age=100)
    assert find_snapshot(tmp_path, "gate", 7, _NOW - 100, ANNOTATED) == tmp_path / "gate/7.jpg"
    assert find_snapshot(tmp_path, "gate", 7, _NOW - 100, CLEAN) == tmp_path / "gate/7-clean.jpg"
    assert find_snapshot(tmp_path, "gate", 7, _NOW, ANNOTATED) is None
    assert find_snapshot(tmp_path, "gate", 8, _NOW - 100, ANNOTATED) is None
    assert store.size == 1000


def test_snapshots_beyond_their_age_are_deleted_also_those_of_an_earlier_run(tmp_path: Path) -> None:
    before = opened(tmp_path)
    add(before, 1, age=3700)
    add(before, 2, age=3500)
    store = opened(tmp_path, counts := Counts(), retention="1h")
    store.check()
    assert kept(store) == ["2-clean.jpg", "2.jpg"]
    assert (counts.deletions, counts.size, store.size) == (["age"], 1000, 1000)


def test_the_oldest_are_deleted_beyond_the_maximum_size(tmp_path: Path) -> None:
    store = opened(tmp_path, counts := Counts(), max_size="2kB")
    for event, age in ((3, 10), (1, 30), (2, 20)):
        add(store, event, age)
    store.check()
    assert kept(store) == ["2-clean.jpg", "2.jpg", "3-clean.jpg", "3.jpg"]
    assert (counts.deletions, counts.size) == (["size"], 2000)


def test_those_of_an_earlier_run_are_deleted_in_the_order_of_their_events(tmp_path: Path) -> None:
    before = opened(tmp_path)
    for event in range(20):
        add(before, event, age=(event * 7) % 20)
    store = opened(tmp_path, max_size="5kB")
    store.check()
    left = {int(name.removesuffix(CLEAN).removesuffix(ANNOTATED)) for name in kept(store)}
    assert left == {event for event in range(20) if (event * 7) % 20 < 5}


def test_a_disk_that_is_nearly_full_drops_all_and_is_reported(tmp_path: Path) -> None:
    store = opened(tmp_path, counts := Counts(), free=10, min_free="1MB")
    add(store, 1)
    with pytest.raises(OSError, match="min_free is free on the disk"):
        store.check()
    assert (kept(store), counts.deletions) == ([], ["disk"])
    assert store.shortage is not None
    assert not store.make_room()


def test_parts_of_a_killed_process_are_removed_and_foreign_files_stay(tmp_path: Path) -> None:
    (tmp_path / "gate").mkdir()
    for name in (".part-x.new", "note.txt", "holiday.jpg"):
        (tmp_path / "gate" / name).write_bytes(b"x")
    os.utime(tmp_path / "gate/holiday.jpg", (1, 1))
    store = opened(tmp_path, retention="1h")
    store.check()
    assert kept(store) == ["holiday.jpg", "note.txt"]
    assert store.size == 0


def test_the_clock_is_not_trusted_if_it_is_far_ahead_of_the_newest_snapshot(tmp_path: Path) -> None:
    add(opened(tmp_path), 1, age=40 * 86400)
    store = SnapshotStore(tmp_path, options(), Counts(), free=lambda _: 10**9, clock=time.time)
    store.check()
    assert kept(store) == ["1-clean.jpg", "1.jpg"]
