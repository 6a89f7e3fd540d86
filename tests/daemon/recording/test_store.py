"""The folder of the clips: retention, full disks, and what a killed process left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sightd.daemon.config.model import Clips
from sightd.daemon.recording.clip_file import PART, ClipFile
from sightd.daemon.recording.index import ClipFilter, ClipIndex, ClipReader
from sightd.daemon.recording.store import ClipStore
from tests.daemon.recording.counts import Counts
from tests.daemon.recording.packets import FPS, GOP, encoded

pytestmark = pytest.mark.computing

_NOW = 1_700_000_000.0


def options(**changed: Any) -> Clips:
    return Clips.model_validate({"kinds": ["zone.*"], "min_free": 0, **changed})


def opened(folder: Path, chosen: Clips, counts: Counts | None = None, free: int = 10**9) -> ClipStore:
    return ClipStore(folder, chosen, counts or Counts(), free=lambda _: free, clock=lambda: _NOW)


def add(store: ClipStore, age: float, size: int = 1000, event: int = 1) -> Path:
    """Adds a clip of 10 s that ended `age` s ago."""
    number, path = store.index.begin("gate", _NOW - age - 10, "gate/x", "h264", [event])
    file = store.folder / path
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(bytes(size))
    store.index.finish(number, _NOW - age, size, [event + 1])
    return file


def test_clips_beyond_their_age_are_deleted_and_others_stay(tmp_path: Path) -> None:
    counts = Counts()
    store = opened(tmp_path, options(retention="1h"), counts)
    old, new = add(store, 3700), add(store, 3500)
    store.tidy(0)
    assert (old.exists(), new.exists()) == (False, True)
    assert counts.reasons == ["age"]
    assert counts.size == 1000


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
    assert store.evicted_at == _NOW
    assert not store.make_room()


def test_an_interrupted_clip_is_kept_as_far_as_it_plays(tmp_path: Path) -> None:
    index = ClipIndex(tmp_path)
    _, path = index.begin("gate", _NOW, "gate/x", "h264", [7])
    index.close()
    file = ClipFile(tmp_path / path, "h264", encoded())
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
