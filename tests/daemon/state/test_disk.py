"""A full or read-only disk: video continues, it is reported, no success is pretended, and it recovers with space."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.state.abused import captured, configuration, enrol, events, persons, reload, state_of
from tests.support.daemon import DaemonProcess
from tests.support.networks import stored
from tests.support.small_disk import SmallDisk
from tests.support.waiting import eventually


@pytest.fixture(autouse=True, scope="module")
def _networks() -> None:
    for name in ("yunet", "sface"):
        stored(name)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with SmallDisk(tmp_path / "disk") as one:
        yield one


def reports(daemon: DaemonProcess, what: str) -> bool:
    return any(reason.startswith(what) for reason in daemon.readiness()["reasons"])


def writable(daemon: DaemonProcess) -> dict[str, float]:
    return daemon.values("sightd_state_writable", "store")


def goes_on(daemon: DaemonProcess) -> None:
    before = captured(daemon)
    eventually(lambda: captured(daemon) > before + 10, 30, "video goes on")


def test_a_full_disk_is_reported_and_what_waited_is_written_when_there_is_room(tmp_path: Path, disk: SmallDisk) -> None:
    with DaemonProcess(tmp_path, configuration(), state_of(disk.path)) as daemon:
        eventually(lambda: bool(daemon.readiness()["ready"]), 60)
        assert enrol(daemon, "Ada").status_code == 201
        kept = len(events(daemon))
        disk.fill()
        for _ in range(20):
            reload(daemon)
        refused = enrol(daemon, "Grace")
        assert refused.status_code == 507
        assert "free disk space" in refused.json()["error"]
        eventually(lambda: reports(daemon, "events cannot be kept") and reports(daemon, "faces cannot be enrolled"), 40)
        assert writable(daemon) == {"events": 0, "faces": 0}
        goes_on(daemon)
        assert persons(daemon) == {"Ada"}, "what is there can be read"
        assert daemon.log.count("events cannot be written and are queued in memory") <= 3, "not with each attempt"
        disk.empty()
        eventually(lambda: writable(daemon) == {"events": 1, "faces": 1}, 60, "recovered by itself")
        eventually(lambda: bool(daemon.readiness()["ready"]), 60)
        reloads = [one for one in events(daemon)[kept:] if one["kind"] == "config.reloaded"]
        assert len(reloads) == 20, "none is lost"
        assert enrol(daemon, "Grace").status_code == 201
        assert daemon.metric("sightd_events_lost_total") == 0


@pytest.mark.slow
def test_a_disk_that_is_full_at_the_start_is_read(tmp_path: Path, disk: SmallDisk) -> None:
    with DaemonProcess(tmp_path, configuration(), state_of(disk.path)) as daemon:
        assert enrol(daemon, "Ada").status_code == 201
        daemon.terminate()
    disk.fill()
    with DaemonProcess(tmp_path, configuration(), state_of(disk.path)) as daemon:
        eventually(lambda: reports(daemon, "events cannot be kept") and reports(daemon, "faces cannot be enrolled"), 40)
        goes_on(daemon)
        assert persons(daemon) == {"Ada"}
        assert enrol(daemon, "Grace").status_code == 507
        disk.empty()
        eventually(lambda: writable(daemon) == {"events": 1, "faces": 1}, 60, "recovered by itself")
        assert enrol(daemon, "Grace").status_code == 201
        assert persons(daemon) == {"Ada", "Grace"}


def test_a_disk_that_is_read_only_at_the_start_is_read(tmp_path: Path, disk: SmallDisk) -> None:
    with DaemonProcess(tmp_path, configuration(), state_of(disk.path)) as daemon:
        assert enrol(daemon, "Ada").status_code == 201
        eventually(lambda: len(events(daemon)) >= 2)
        daemon.terminate()
    disk.read_only(True)
    _read_only_then_mended(tmp_path, disk, {"Ada"})


@pytest.mark.slow
def test_one_that_is_read_only_after_a_kill_is_read_with_all_that_was_written(tmp_path: Path, disk: SmallDisk) -> None:
    with DaemonProcess(tmp_path, configuration(), state_of(disk.path)) as daemon:
        assert enrol(daemon, "Ada").status_code == 201
    assert (disk.path / "faces.db-wal").stat().st_size > 0
    disk.read_only(True)
    _read_only_then_mended(tmp_path, disk, {"Ada"})


def test_one_that_is_empty_and_read_only_knows_nobody(tmp_path: Path, disk: SmallDisk) -> None:
    disk.read_only(True)
    _read_only_then_mended(tmp_path, disk, set())


@pytest.mark.parametrize("content", [b"not a gallery at all" * 400, b"SQLite format 3\0" + bytes(8176)])
def test_a_damaged_gallery_stops_no_video_and_stays_as_it_is(content: bytes, tmp_path: Path) -> None:
    gallery = tmp_path / "state" / "faces.db"
    gallery.parent.mkdir()
    gallery.write_bytes(content)
    with DaemonProcess(tmp_path, configuration()) as daemon:
        eventually(lambda: reports(daemon, "faces cannot be enrolled"), 40)
        (reason,) = (one for one in daemon.readiness()["reasons"] if "faces.db" in one)
        assert "move it away to start a new gallery and import an export" in reason
        eventually(lambda: writable(daemon) == {"events": 1, "faces": 0}, 40)
        goes_on(daemon)
        for answer in (enrol(daemon, "Ada"), daemon.get("/api/v1/faces"), daemon.get("/api/v1/unknown-faces")):
            assert answer.status_code == 507
            assert "move it away" in answer.json()["error"]
        assert gallery.read_bytes() == content
        gallery.rename(tmp_path / "kept.db")
        eventually(lambda: bool(daemon.readiness()["ready"]), 60, "recovered by itself")
        assert enrol(daemon, "Ada").status_code == 201
        assert persons(daemon) == {"Ada"}
    assert (tmp_path / "kept.db").read_bytes() == content


def _read_only_then_mended(folder: Path, disk: SmallDisk, enrolled: set[str]) -> None:
    with DaemonProcess(folder, configuration(), state_of(disk.path)) as daemon:
        eventually(lambda: reports(daemon, "events cannot be kept") and reports(daemon, "faces cannot be enrolled"), 40)
        goes_on(daemon)
        assert persons(daemon) == enrolled
        refused = enrol(daemon, "Grace")
        assert refused.status_code == 507
        assert (
            "needs read and write permission" in refused.json()["error"]
            or "set another file" in refused.json()["error"]
        )
        disk.read_only(False)
        eventually(lambda: writable(daemon) == {"events": 1, "faces": 1}, 60, "recovered by itself")
        assert enrol(daemon, "Grace").status_code == 201
        assert persons(daemon) == enrolled | {"Grace"}
        assert "daemon.started" in [one["kind"] for one in events(daemon)], "what waited is kept"
