"""The folder of the clips: retention, full disks, and what a killed process left."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sightd.daemon.config.model import Recording, Segments
from sightd.daemon.config.recording import CameraRules
from sightd.daemon.recording.clip_file import PART, ClipFile, StreamTemplate
from sightd.daemon.recording.index import _SCHEMA, ClipFilter, ClipIndex, ClipReader
from sightd.daemon.recording.store import ClipStore
from tests.daemon.recording.counts import Counts
from tests.daemon.recording.packets import FPS, GOP, encoded

pytestmark = pytest.mark.computing

_NOW = 1_700_000_000.0


def options(retention: str = "30d", **changed: Any) -> Recording:
    clips = {"kinds": ["zone.*"], "retention": retention}
    return Recording.model_validate({"clips": clips, "min_free": 0, **changed})


def opened(folder: Path, chosen: Recording, counts: Counts | None = None, free: int = 10**9) -> ClipStore:
    return ClipStore(folder, chosen, counts or Counts(), free=lambda _: free, clock=lambda: _NOW)


def add(store: ClipStore, age: float, size: int = 1000, event: int = 1) -> Path:
    """Adds a clip of 10 s that ended `age` s ago."""
    number, path = store.index.begin("gate", _NOW - age - 10, "gate/x", "h264", [event])
    return finished(store, number, path, age, size, [event + 1])


def add_segment(store: ClipStore, age: float, *events: int, camera: str = "gate") -> Path:
    """Adds a segment of 10 s and 1000 bytes that ended `age` s ago."""
    number, path = store.index.begin(camera, _NOW - age - 10, f"{camera}/x", "h264", events, "segment")
    return finished(store, number, path, age, 1000, [])


def finished(store: ClipStore, number: int, path: str, age: float, size: int, events: list[int]) -> Path:
    file = store.folder / path
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(bytes(size))
    store.index.finish(number, _NOW - age, size, events)
    return file


def kept(*files: Path) -> list[bool]:
    return [file.exists() for file in files]


def test_clips_beyond_their_age_are_deleted_and_others_stay(tmp_path: Path) -> None:
    counts = Counts()
    store = opened(tmp_path, options(retention="1h"), counts)
    old, new = add(store, 3700), add(store, 3500)
    store.tidy(0)
    assert (old.exists(), new.exists()) == (False, True)
    assert counts.reasons == ["age"]
    assert counts.sizes == {"clip": 1000, "segment": 0}


def test_the_oldest_are_deleted_beyond_the_maximum_size_which_includes_clips_being_written(tmp_path: Path) -> None:
    counts = Counts()
    store = opened(tmp_path, options(max_size="3kB"), counts)
    files = [add(store, age) for age in (30, 20, 10)]
    store.tidy(0)
    assert all(file.exists() for file in files)
    store.tidy(500)
    assert [file.exists() for file in files] == [False, True, True]
    assert counts.reasons == ["size"]


def test_a_disk_that_is_nearly_full_drops_the_oldest_that_are_not_protected(tmp_path: Path) -> None:
    counts = Counts()
    store = opened(tmp_path, options(min_free="1MB"), counts, free=10)
    first, second = add(store, 20), add(store, 10)
    store.index._connection.execute("UPDATE clips SET protected = 1 WHERE id = 1")
    store.tidy(0)
    assert (first.exists(), second.exists()) == (True, False)
    assert counts.reasons == ["disk"]
    assert store.shortage is not None
    assert "recording.max_size" in store.shortage
    assert not store.make_room()


def test_segments_without_events_are_deleted_first_then_those_with_events_then_clips(tmp_path: Path) -> None:
    counts = Counts()
    store = opened(tmp_path, options(), counts)
    clip, eventful, quiet, newer = (
        add(store, 40),
        add_segment(store, 30, 7),
        add_segment(store, 20),
        add_segment(store, 10),
    )
    order = []
    while store.make_room():
        order.append(kept(clip, eventful, quiet, newer))
    assert order == [
        [True, True, False, True],
        [True, True, False, False],
        [True, False, False, False],
        [False, False, False, False],
    ]


def test_an_event_that_is_stored_later_still_makes_its_segment_outlive_others(tmp_path: Path) -> None:
    store = opened(tmp_path, options())
    first, second = add_segment(store, 30), add_segment(store, 20)
    store.index.add_event("gate", 9, _NOW - 35)
    store.index.add_event("gate", 10, _NOW - 300)  # no segment shows it
    assert ClipReader(tmp_path).clips(ClipFilter(event=9, kind="segment"), 10)[0].path == f"gate/{first.name}"
    store.make_room()
    assert kept(first, second) == [True, False]


def test_each_camera_and_kind_has_its_own_retention(tmp_path: Path) -> None:
    segments = {"retention": "100s", "event_retention": "200s"}
    short = Segments.model_validate({"retention": "10s"})
    store = opened(tmp_path, options(retention="300s", segments=segments))
    ages = (5, 15, 110, 150, 210)
    gate = [add_segment(store, age) for age in ages]
    door = [add_segment(store, age, camera="door") for age in ages]
    eventful = [add_segment(store, age, 1) for age in ages]
    clips = [add(store, age) for age in (210, 290, 310)]
    store.tidy(0, {"door": CameraRules(None, short, 0)})
    assert kept(*gate) == [True, True, False, False, False]
    assert kept(*door) == [True, False, False, False, False]
    assert kept(*eventful) == [True, True, True, True, False]
    assert kept(*clips) == [True, True, False]


def test_segments_of_a_camera_may_have_a_maximum_size_of_their_own(tmp_path: Path) -> None:
    store = opened(tmp_path, options())
    gate = [add_segment(store, age) for age in (30, 20, 10)]
    door = [add_segment(store, age, camera="door") for age in (30, 20, 10)]
    store.tidy(0, {"gate": CameraRules(None, Segments.model_validate({"max_size": "2kB"}), 0)})
    assert kept(*gate, *door) == [False, True, True, True, True, True]


def test_what_is_protected_stays_until_that_ends_and_is_not_deleted_by_hand(tmp_path: Path) -> None:
    store = opened(tmp_path, options(retention="1s"))
    file = add(store, 100)
    protected = store.index.protect(1, True)
    assert protected is not None
    assert protected.protected
    store.tidy(0)
    store.index.delete(1)
    assert file.exists()
    store.index.protect(1, False)
    store.index.delete(1)
    assert not file.exists()
    assert store.index.delete(1) is None
    assert store.index.protect(1, True) is None


def test_an_index_of_an_earlier_format_keeps_its_clips(tmp_path: Path) -> None:
    path = tmp_path / "clips.db"
    path.touch(0o600)
    with closing(sqlite3.connect(path)) as old, old:
        for statement in _SCHEMA.split(";"):
            old.execute(statement)
        old.execute("PRAGMA user_version = 1")
        old.execute(
            "INSERT INTO clips (camera, begin, end, path, codec) VALUES ('gate', 1.0, 2.0, 'gate/a.mp4', 'hevc')"
        )
    opened(tmp_path, options()).close()
    (clip,) = ClipReader(tmp_path).clips(ClipFilter(), 10)
    assert (clip.kind, clip.priority, clip.audio, clip.codec) == ("clip", 2, None, "hevc")


def test_an_interrupted_clip_is_kept_as_far_as_it_plays(tmp_path: Path) -> None:
    index = ClipIndex(tmp_path)
    _, path = index.begin("gate", _NOW, "gate/x", "h264", [7])
    index.close()
    file = ClipFile(tmp_path / path, StreamTemplate("h264", encoded()[0].data), encoded())
    for one in encoded()[:80]:
        file.write(one)
    opened(tmp_path, options()).close()
    clip = ClipReader(tmp_path).clips(ClipFilter(event=7), 10)[0]
    assert clip.end == _NOW + (GOP - 1) / FPS
    assert (tmp_path / clip.path).stat().st_size == clip.size > 0
    assert not list(tmp_path.glob(f"gate/*{PART}"))


def test_leftovers_that_cannot_be_played_are_removed(tmp_path: Path) -> None:
    index = ClipIndex(tmp_path)
    _, path = index.begin("gate", _NOW, "gate/x", "h264", [7])
    index.close()
    (tmp_path / "gate").mkdir()
    (tmp_path / f"{path}{PART}").write_bytes(b"x")
    (tmp_path / f"gate/unknown.mp4{PART}").write_bytes(b"x")
    store = opened(tmp_path, options())
    assert list((tmp_path / "gate").iterdir()) == []
    assert store.index.unfinished() == []


def test_clips_are_found_by_camera_time_and_event(tmp_path: Path) -> None:
    store = opened(tmp_path, options())
    for number, age in enumerate((300, 200, 100)):
        add(store, age, event=10 * number)
    reader = ClipReader(tmp_path)

    def found(**wanted: Any) -> list[int]:
        return [clip.id for clip in reader.clips(ClipFilter(**wanted), 10)]

    assert found() == [3, 2, 1]
    assert found(camera="gate", before=3) == [2, 1]
    assert found(camera="door") == []
    assert found(since=_NOW - 205, until=_NOW - 150) == [2]
    assert found(event=11) == [2]
    assert reader.clip(1) is not None
    assert reader.clip(4) is None
