"""A plug-in of another package has a result type, a metric, an event, a JSON form and a command without a line about
it in sightd."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from sightd.daemon.events.event import event_of
from tests.support.daemon import DaemonProcess
from tests.support.example import environment_with, install_example
from tests.support.waiting import eventually

pytestmark = pytest.mark.waiting

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return environment_with(install_example(tmp_path_factory.mktemp("example")))


@pytest.fixture(scope="module", params=[False, True], ids=["within", "isolated"])
def daemon(
    request: pytest.FixtureRequest, environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DaemonProcess]:
    """A daemon that runs the example, in its own process or in one of the plug-in's own, on a moving test pattern."""
    configuration = {
        "cameras": {"yard": {"source": "testpattern://?width=320&height=180&fps=10"}},
        "plugins": {"motion": {"isolate": request.param, "rest": "1h"}},
        "chain": ["motion"],
        "rtsp": {"enabled": False},
    }
    with DaemonProcess(tmp_path_factory.mktemp("daemon"), configuration, environ) as running:
        yield running
        assert running.terminate()[0] == 0


def events(daemon: DaemonProcess) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = daemon.get("/api/v1/events?after=0&kind=motion.began").json()
    return found


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of six frames. From the third on there is a square of brightness 40, which moves."""
    path = tmp_path_factory.mktemp("clip") / "clip.avi"
    film = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (160, 120))
    for number in range(6):
        image = np.zeros((120, 160, 3), np.uint8)
        image[40:80, 20 * number : 20 * number + 40] = 40 if number >= 2 else 0
        film.write(image)
    film.release()
    return path


def test_analyze_writes_its_json_form_and_its_events(environ: dict[str, str], clip: Path) -> None:
    lines = [json.loads(line) for line in run("analyze", clip, "--chain", "motion", environ=environ).splitlines()]
    shares = [line["motion"]["share"] for line in lines]
    assert [share > 0 for share in shares] == [False, False, True, True, True, True]
    began = [
        [{"kind": "motion.began", "phase": "once", "facts": {"share": shares[2]}}] if n == 2 else [] for n in range(6)
    ]
    assert [line["events"] for line in lines] == began
    expected = ["source", "frame", "pts", "width", "height", "detections", "events", "motion"]
    assert list(lines[0]) == expected


def test_its_command_is_listed_and_the_list_imports_nothing_heavy(environ: dict[str, str]) -> None:
    assert "  motion     show what different thresholds find in a video\n" in run("--help", environ=environ)
    code = "import sys, sightd_motion.command; print([m for m in ('numpy', 'cv2', 'pydantic') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"


def test_its_command_shows_what_each_threshold_finds(environ: dict[str, str], clip: Path) -> None:
    title, head, *rows = run("motion", clip, environ=environ).splitlines()
    assert title == f"{clip}: 6 frames"
    assert head.split() == ["THRESHOLD", "MOVING", "MEAN", "AREA"]
    found = {int(threshold): (moving, area) for threshold, moving, area in map(str.split, rows)}
    assert list(found) == [10, 15, 25, 40, 60]
    assert [moving for moving, _ in found.values()] == ["66.7%", "66.7%", "66.7%", "0.0%", "0.0%"]
    areas = [area for _, area in found.values()]
    assert areas[3:] == ["-", "-"]
    least, middle, most = (float(area.removesuffix("%")) for area in reversed(areas[:3]))
    assert 100 * 20 * 40 / (160 * 120) < least <= middle <= most < 30  # half of the square is new in each frame


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file or directory"),
        (b"not a video", "is not a video of two frames or more that OpenCV can read; try another file"),
    ],
    ids=["missing", "unreadable"],
)
def test_its_command_reports_a_file_that_it_cannot_read(
    content: bytes | None, message: str, environ: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "clip.avi"
    if content is not None:
        path.write_bytes(content)
    done = sightd("motion", path, environ=environ)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"sightd: {path}: {message}\n")


def test_its_command_reads_a_file_whose_name_is_not_utf_8(environ: dict[str, str], clip: Path, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff.avi")
    shutil.copy(clip, path)
    done = sightd("motion", path, environ=environ)
    assert done.returncode == 0, done.stderr
    assert "\\udcff.avi: 6 frames\n" in done.stdout


def test_its_metric_is_exported(daemon: DaemonProcess) -> None:
    def moving() -> float:
        return daemon.values("sightd_motion_frames_total", "state", camera="yard").get("moving", 0.0)

    eventually(lambda: moving() >= 5, 30, "frames with motion")
    help_line = "# HELP sightd_motion_frames_total Frames on which something moved or nothing did.\n"
    assert help_line in daemon.get("/metrics").text
    assert daemon.metric("sightd_detections_total", camera="yard", **{"class": "moving"}) >= 5
    assert sum(daemon.values("sightd_plugin_faults_total", "reason", plugin="motion").values()) == 0


def test_its_event_is_in_the_journal_the_stream_and_the_metric(daemon: DaemonProcess) -> None:
    eventually(lambda: len(events(daemon)) == 1, 30, "the event")
    [event] = events(daemon)
    assert (event["camera"], event["plugin"]) == ("yard", "motion")
    assert 0 < event["facts"]["share"] < 1
    assert 0 <= time.time() - event_of(event).at < 300
    assert daemon.metric("sightd_events_total", kind="motion.began") == 1
    with httpx.stream("GET", daemon.url("/api/v1/events/stream?after=0&kind=motion.began"), trust_env=False) as stream:
        data = next(line for line in stream.iter_lines() if line.startswith("data: "))
    assert json.loads(data.removeprefix("data: ")) == event


def test_its_event_is_shown_by_the_command(daemon: DaemonProcess) -> None:
    eventually(lambda: len(events(daemon)) == 1, 30, "the event")
    shown = run("events", "--url", daemon.url(""), "--kind", "motion.began", environ={})
    assert f"camera yard: motion.began, share {events(daemon)[0]['facts']['share']:.2g}" in shown


def sightd(*words: object, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sightd", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **environ}, capture_output=True, text=True, timeout=100)


def run(*words: object, environ: dict[str, str]) -> str:
    done = sightd(*words, environ=environ)
    assert done.returncode == 0, done.stderr
    return done.stdout
