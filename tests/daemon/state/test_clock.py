"""The wall clock jumps while a daemon runs, as when a machine without a clock battery gets the time from the network:
no camera counts as lost, no frame is lost, and events keep their order."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.daemon.state.abused import events, reload
from tests.support.camera import CameraSimulator, Look, need_rtsp_server
from tests.support.daemon import DaemonProcess
from tests.support.uncounted import uncounted
from tests.support.viewer import Viewer
from tests.support.waiting import eventually

HOUR = 3600.0
_PICTURES = 25


def jumping(offset: Path) -> dict[str, str]:
    """Returns the environment of a process whose wall clock is offset by the content of the file, such as "+3600"; its
    monotonic clock is the system's. Skips the test if libfaketime is not installed."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        pytest.skip("libfaketime is not installed")
    return {
        "LD_PRELOAD": str(found[0]),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


@pytest.fixture
def jump(tmp_path: Path) -> Callable[[float], None]:
    """Returns a function that sets the daemon's clock ahead of the true time, in s."""

    def to(ahead: float) -> None:
        written = tmp_path / "offset.new"
        written.write_text(f"{ahead:+.0f}\n")
        written.replace(tmp_path / "offset")

    to(0)
    return to


def is_near(daemon: DaemonProcess, wall: float) -> bool:
    """Whether a frame came at about this time of the daemon's clock."""
    return abs(daemon.metric("sightd_source_last_frame_timestamp_seconds", camera="a") - wall) < HOUR / 2


def test_pictures_go_on_and_events_keep_their_order(tmp_path: Path, jump: Callable[[float], None]) -> None:
    need_rtsp_server()
    environ = jumping(tmp_path / "offset")
    with ExitStack() as parts:
        camera = parts.enter_context(CameraSimulator(Look(size=(320, 240))))
        configuration = {"cameras": {"a": {"source": camera.address(), "chain": []}}}
        daemon = parts.enter_context(DaemonProcess(tmp_path, configuration, environ))
        viewer = parts.enter_context(Viewer(daemon.rtsp("a")))
        viewer.wait_for(_PICTURES)
        eventually(lambda: bool(daemon.readiness()["ready"]), 15, "daemon ready")
        lost = uncounted(daemon, viewer, "a")
        for ahead in (24 * HOUR, -2 * HOUR):
            now = time.time() + ahead
            jump(ahead)
            eventually(partial(is_near, daemon, now), 10, "the clock has jumped")
            reload(daemon)
            viewer.wait_for(len(viewer.seen) + _PICTURES)
            assert daemon.readiness()["ready"]
            status = daemon.get("/api/v1/status").json()
            assert status["uptime"] < HOUR
            assert abs(status["started_at"] - (now - status["uptime"])) < HOUR / 2
        assert uncounted(daemon, viewer, "a") <= lost
        assert viewer.in_order()
        assert viewer.error is None
        kept = events(daemon)
        total, count = (daemon.metric(f"sightd_frame_latency_seconds_{part}", camera="a") for part in ("sum", "count"))
        told = daemon.log
    assert [event["id"] for event in kept] == list(range(1, len(kept) + 1))
    ages = [event["facts"]["age"] for event in kept if event["kind"] == "camera.late"]
    assert all(age < HOUR / 2 for age in ages), "a busy machine may make frames late, but not by a jump of the clock"
    others = [event for event in kept if event["kind"] not in ("camera.late", "camera.on_time")]
    assert [event["kind"] for event in others] == ["daemon.started", "camera.up", "config.reloaded", "config.reloaded"]
    first, _, ahead, behind = (event["time"] for event in others)
    assert behind < first < ahead, "as the clock showed it"
    assert 0 < total / count < 1.0
    assert "Traceback" not in told
