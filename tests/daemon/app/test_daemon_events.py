"""A real daemon's events: they agree with the slate, and survive the process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.camera import CameraSimulator, Look, need_rtsp_server
from tests.support.daemon import DaemonProcess
from tests.support.fault_proxy import FaultProxy
from tests.support.waiting import eventually

_ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True, scope="module")
def _server() -> None:
    need_rtsp_server()


def configuration(camera: CameraSimulator) -> dict[str, Any]:
    quick = {"timeout": "1s", "reconnect": {"initial_delay": "200ms", "max_delay": "500ms"}}
    return {"cameras": {"door": {"source": camera.address(), **quick}}, "rtsp": {"enabled": False}}


def kinds(daemon: DaemonProcess) -> list[str]:
    return [one["kind"] for one in daemon.get("/api/v1/events?camera=door").json()]


def agrees(daemon: DaemonProcess) -> bool:
    """Whether slate, metric and event agree. Each is requested separately, so they may differ for a moment."""
    slate = daemon.metric("sightd_stream_slate_active", camera="door")
    up = daemon.metric("sightd_source_up", camera="door")
    return (slate, up) == ((0, 1) if kinds(daemon)[-1] == "camera.up" else (1, 0))


def test_slate_metric_and_event_agree_when_a_camera_goes_and_comes(tmp_path: Path) -> None:
    with (
        CameraSimulator(Look(size=(320, 240), fps=25)) as camera,
        DaemonProcess(tmp_path, configuration(camera)) as daemon,
    ):
        eventually(lambda: kinds(daemon) == ["camera.up"], 20)
        assert agrees(daemon)
        camera.freeze()
        eventually(lambda: kinds(daemon) == ["camera.up", "camera.down"], 10)
        eventually(lambda: agrees(daemon), 2)
        camera.thaw()
        eventually(lambda: kinds(daemon)[-1] == "camera.up", 10)
        eventually(lambda: agrees(daemon), 2)
        started, first, down, up = daemon.get("/api/v1/events?after=0").json()
        assert started["kind"] == "daemon.started"
        assert first["facts"] == {"away": None}
        assert down["facts"]["reason"] in ("silent", "timeout")
        assert down["facts"]["last_picture"] < down["time"] < up["time"]
        assert 1.2 < up["facts"]["away"] < 10
        assert daemon.metric("sightd_events_total", kind="camera.up") == 2
        told = followed(daemon, tmp_path)
        assert [one["id"] for one in told] == [1, 2, 3, 4]
        daemon.terminate()
        stopped = followed(daemon, tmp_path)[-1]
        assert (stopped["kind"], stopped["phase"], stopped["began"]) == ("daemon.stopped", "ended", started["id"])
        assert [one["phase"] for one in (started, first, down, up)] == ["began", "once", "began", "ended"]
        assert up["began"] == down["id"]
        assert "camera door: camera.down, reason" in daemon.log


def test_a_late_camera_is_late_wherever_one_looks_until_it_is_on_time_again(tmp_path: Path) -> None:
    with CameraSimulator(Look(size=(640, 360))) as camera, FaultProxy(camera.port) as proxy:
        door = {"source": f"rtsp://127.0.0.1:{proxy.port}/cam0", "timeout": "10s", "late_after": "1s"}
        with DaemonProcess(tmp_path, {"cameras": {"door": door}, "rtsp": {"enabled": False}}) as daemon:
            eventually(lambda: state(daemon)["fps"] > 20, 20)
            on_time = state(daemon)
            proxy.throttle(14_000)
            eventually(lambda: state(daemon)["state"] == "late", 30)
            late, age = state(daemon), daemon.metric("sightd_source_age_seconds", camera="door")
            assert "camera door is late: frames arrive" in daemon.readiness()["reasons"][0]
            proxy.heal()
            eventually(lambda: state(daemon)["state"] == "live", 20)
            eventually(lambda: kinds(daemon)[-1] == "camera.on_time", 5)
            events = daemon.get("/api/v1/events?camera=door").json()
    assert (on_time["state"], on_time["reason"]) == ("live", None)
    assert on_time["age"] < 0.5
    assert late["age"] > 0.5
    assert age > 0.5
    assert [event["kind"] for event in events] == ["camera.up", "camera.late", "camera.on_time"]
    assert events[1]["facts"]["age"] > 1
    assert events[2]["facts"]["late"] > 0.5
    assert [event["began"] for event in events] == [None, None, events[1]["id"]]


def state(daemon: DaemonProcess) -> Any:
    return daemon.readiness()["cameras"]["door"]


def followed(daemon: DaemonProcess, folder: Path) -> list[Any]:
    """Returns the output of `sightd events`, whether or not the daemon runs."""
    command = [sys.executable, "-m", "sightd", "events", "-c", str(daemon.path), "--json", "--since", "1h"]
    environ = {**os.environ, "SIGHTD_STATE_DIR": str(folder / "state")}
    done = subprocess.run(command, cwd=_ROOT, env=environ, capture_output=True, text=True, timeout=60, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]
