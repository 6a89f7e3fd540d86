"""The reason for a camera's outage is the same everywhere: `/readyz`, event, metric, log and commands."""

from __future__ import annotations

import os
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sightd.daemon.capture.reasons import Reason
from tests.support.camera import CameraSimulator, Look, need_rtsp_server
from tests.support.daemon import DaemonProcess
from tests.support.odd_camera import OddCamera, Packets
from tests.support.sightd import sightd
from tests.support.waiting import eventually

pytestmark = pytest.mark.waiting

_HEADERS = 14
"""Bytes of the RTP header, the NAL unit's, and that of a fragment."""

QUICK = {"timeout": "2s", "open_timeout": "5s", "reconnect": {"initial_delay": "200ms", "max_delay": "500ms"}}


@pytest.fixture(autouse=True, scope="module")
def _server() -> None:
    need_rtsp_server()


class Damage:
    """Overwrites the video in all frames but the first 50. A camera without an intact frame would be silent until its
    first damaged one arrives."""

    def __init__(self) -> None:
        self._frames = 0

    def __call__(self, number: int, packets: Packets) -> Packets:
        self._frames += 1
        if self._frames <= 50:
            return packets
        return [packet[:_HEADERS] + bytes(len(packet) - _HEADERS) for packet in packets]


def state(daemon: DaemonProcess, camera: str) -> Any:
    return daemon.readiness()["cameras"][camera]


def down(daemon: DaemonProcess, camera: str) -> list[Any]:
    events = daemon.get(f"/api/v1/events?camera={camera}").json()
    return [one["facts"]["reason"] for one in events if one["kind"] == "camera.down"]


def agrees(daemon: DaemonProcess, camera: str, reason: Reason) -> bool:
    """Whether `/readyz` and the metric give this reason."""
    lost = daemon.metric("sightd_source_reconnects_total", camera=camera, reason=str(reason))
    return lost > 0 and reason.explanation in (state(daemon, camera)["reason"] or "")


@pytest.mark.slow
def test_one_reason_everywhere(tmp_path: Path) -> None:
    pipe = tmp_path / "later.mp4"
    with OddCamera(algorithms=["MD5"]) as locked, OddCamera(deliver=Damage()) as damaged:
        sources = {
            "locked": f"rtsp://viewer:wrong@127.0.0.1:{locked.port}/cam",
            "damaged": damaged.address(),
            "pipe": str(pipe),
        }
        cameras = {name: {"source": source, **QUICK} for name, source in sources.items()}
        with DaemonProcess(tmp_path, {"cameras": cameras, "rtsp": {"enabled": False}}) as daemon:
            eventually(lambda: down(daemon, "pipe") == ["not_found"], 20)
            os.mkfifo(pipe)
            reasons = {"locked": Reason.UNAUTHORISED, "damaged": Reason.DECODE, "pipe": Reason.NOT_READABLE}
            for name, reason in reasons.items():
                eventually(partial(agrees, daemon, name, reason), 30, name)
                assert (state(daemon, name)["fps"], state(daemon, name)["age"]) == (0, None)
            assert down(daemon, "locked") == ["unauthorised"]
            damaged_for = [reason for reason in down(daemon, "damaged") if reason != "silent"]  # first, if the machine
            assert damaged_for == ["decode"]  # is so busy that no intact frame is shown in time
            assert "a named pipe" in state(daemon, "pipe")["reason"]
            assert "camera locked: camera.down, reason unauthorised (login refused)" in daemon.log
            assert "camera damaged: camera.down, reason decode (damaged data)" in daemon.log
            shown = sightd("status", "-c", daemon.path).stdout
    assert Reason.UNAUTHORISED.explanation.split(";")[0] in " ".join(shown.split())


def test_a_lost_camera_shows_since_when_and_no_rate_of_before(tmp_path: Path) -> None:
    with CameraSimulator(Look(size=(320, 240), fps=25)) as camera:
        settings = {"cameras": {"door": {"source": camera.address(), **QUICK}}, "rtsp": {"enabled": False}}
        with DaemonProcess(tmp_path, settings) as daemon:
            eventually(lambda: state(daemon, "door")["fps"] > 15 and state(daemon, "door")["age"] is not None, 20)
            camera.kill()
            eventually(lambda: state(daemon, "door")["state"] in ("waiting", "connecting"), 20)
            lost = state(daemon, "door")
            last_frame = daemon.get("/api/v1/status").json()["cameras"][0]["last_frame"]
            attempts = daemon.values("sightd_source_reconnects_total", "reason", camera="door")
            eventually(
                lambda: (
                    sum(daemon.values("sightd_source_reconnects_total", "reason", camera="door").values())
                    > sum(attempts.values()) + 1
                ),
                20,
            )
            later = state(daemon, "door")
            assert daemon.metric("sightd_source_age_seconds", camera="door") == 0
            row = next(
                line for line in sightd("status", "-c", daemon.path).stdout.splitlines() if line.startswith("door")
            )
    assert (lost["fps"], lost["age"]) == (0, None)
    assert (later["fps"], later["age"]) == (0, None)
    assert later["since"] == pytest.approx(lost["since"], abs=0.2), "a new attempt is no new outage"
    assert later["since"] == pytest.approx(last_frame, abs=0.2)
    name, status_now, since, day, hour, fps, size, age, *_ = row.split()
    assert (name, since, fps, size, age) == ("door", "since", "-", "320x240", "-")
    assert datetime.fromisoformat(f"{day} {hour}").timestamp() == pytest.approx(last_frame, abs=2)
    assert status_now in ("waiting", "connecting")
