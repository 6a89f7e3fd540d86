"""`sightd status` shows the daemon's state, and its exit code says whether it is ready."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from rich.console import Console

from sightd.daemon.cli.doctor import served_ports
from sightd.daemon.cli.status import duration, show, size
from sightd.daemon.serve.control_address import default_socket
from tests.support import other_user
from tests.support.daemon import DaemonProcess, one_object_network
from tests.support.sightd import sightd
from tests.support.waiting import eventually

PATTERN = {"source": "testpattern://", "width": 320, "height": 240, "fps": 25}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    folder = tmp_path_factory.mktemp("status")
    settings = {
        "cameras": {"front": PATTERN},
        "chain": ["detector"],
        "plugins": {"detector": one_object_network(folder)},
    }
    with DaemonProcess(folder, settings) as process:
        eventually(lambda: bool(process.readiness()["ready"]), 20, "daemon ready")
        yield process


def test_at_a_glance(daemon: DaemonProcess) -> None:
    done = sightd("status", "-c", daemon.path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("sightd ")
    assert lines[0].endswith(f", {daemon.path}")
    assert ": ready, up " in lines[0]
    camera = next(line.split() for line in lines if line.startswith("front"))
    assert (camera[1], camera[3]) == ("live", "320x240")
    plugin = next(line for line in lines if line.startswith("detector"))
    assert "running" in plugin
    assert "one_object" in plugin
    assert "onnxruntime" in plugin
    servers = next(line for line in lines if line.startswith("serves"))
    assert servers.startswith("serves    rtsp://")
    assert f", {daemon.url('')}, control socket /" in servers
    assert any(line.startswith(f"journal   {daemon.path.parent / 'state' / 'events.db'}") for line in lines)


def test_doctor_knows_the_ports_of_the_daemon_that_it_examines(daemon: DaemonProcess, tmp_path: Path) -> None:
    servers = json.loads(sightd("status", "-c", daemon.path, "--json").stdout)["servers"]
    ports = served_ports(daemon.path)
    assert ports == {name: urlsplit(servers[name]).port for name in ("rtsp", "http")}
    assert served_ports(tmp_path / "other.yaml") == {}


def test_for_programs_with_who_watches(daemon: DaemonProcess) -> None:
    eventually(lambda: daemon.get("/api/v1/status").json()["plugins"][0]["seconds"] is not None, 20, "first call")
    with httpx.stream("GET", daemon.url("/front.mjpg"), timeout=20) as response:
        parts = response.iter_bytes()  # keep a reference: an unreferenced iterator closes the connection
        next(parts)
        status = json.loads(sightd("status", "-c", daemon.path, "--json").stdout)
    [camera] = status["cameras"]
    viewers = {"rtsp": 0, "mjpeg": 1, "webrtc": 0, "mse": 0}
    assert (camera["viewers"], status["viewers"]) == (viewers, viewers)
    assert camera["frames"] > 0
    assert camera["fps"] > 0
    assert camera["mjpeg"] == daemon.url("/front.mjpg")
    [plugin] = status["plugins"]
    assert plugin["seconds"] > 0
    assert (plugin["engines"][0]["model"], plugin["engines"][0]["device"]) == ("one_object", "cpu")
    assert status["storage"]["free"] > 0
    assert (status["pid"], status["servers"]["http"]) == (daemon.pid, daemon.url(""))
    assert status["versions"]["onnxruntime"]


def test_a_daemon_that_is_not_ready_says_why_without_a_secret(tmp_path: Path) -> None:
    gone = {"source": "rtsp://viewer:hidden-password@127.0.0.1:9/x"}
    with DaemonProcess(tmp_path, {"cameras": {"front": PATTERN, "gone": gone}}) as process:
        eventually(lambda: process.readiness()["cameras"].get("gone", {}).get("reason") is not None, 20)
        done = sightd("status", "-c", process.path)
        assert done.returncode == 1
        assert "not ready" in done.stdout
        assert "! camera gone is " in done.stdout
        assert "hidden-password" not in done.stdout + sightd("status", "-c", process.path, "--json").stdout
        process.terminate()
    done = sightd("status", "-c", process.path)
    assert (done.returncode, done.stdout) == (3, "")
    assert "no sightd daemon runs with" in done.stderr


def test_without_the_web_server_the_socket_is_enough(tmp_path: Path) -> None:
    settings = {"cameras": {"front": PATTERN}, "rtsp": {"enabled": False}, "http": {"enabled": False}}
    process = DaemonProcess(tmp_path, settings)
    process.spawn()
    try:
        eventually(lambda: sightd("status", "-c", process.path).returncode == 0, 30, every=0.2)
        status = json.loads(sightd("status", "-c", process.path, "--json").stdout)
        socket = default_socket(process.path, os.environ)
        assert status["servers"] == {"rtsp": None, "http": None, "control": str(socket)}
        still = httpx.Client(transport=httpx.HTTPTransport(uds=str(socket))).get("http://localhost/front.jpg")
        assert still.content.startswith(b"\xff\xd8")
        assert process.terminate()[0] == 0
        assert not socket.exists()
    finally:
        process.close()


def test_a_user_without_a_role_gets_an_answer_that_says_what_to_do(daemon: DaemonProcess) -> None:
    other_user.need_root()
    socket = default_socket(daemon.path, os.environ)
    try:
        can_run = other_user.as_other([sys.executable, "-c", "import sightd.daemon.cli.status"]).returncode == 0
    except PermissionError:
        can_run = False
    if not can_run:
        pytest.skip("another user cannot run this checkout")
    done = other_user.as_other([sys.executable, "-m", "sightd", "status", "--socket", socket])
    assert done.returncode == 3
    assert "control.groups" in done.stderr


def test_what_steers_a_terminal_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    status = {
        "version": "1", "ready": False, "started_at": 0.0, "uptime": 65.0, "config": "/a\x1b[2J",
        "reasons": ["\x1b]0;owned\x07"],
        "configuration": {"state": "refused", "since": 0.0, "detail": "line\u202e 3\n    fix it"},
        "cameras": [], "plugins": [],
        "servers": {"http": None}, "versions": {},
        "storage": {"directory": "/s", "free": None, "total": None, "galleries": {},
                    "journal": {"path": "/s/e.db", "size": None, "fault": "full\r"}},
    }  # fmt: skip
    show(status, Console(width=100))
    shown = capsys.readouterr().out
    assert all(letter.isprintable() or letter == "\n" for letter in shown)
    assert [line for line in shown.splitlines() if "refused" in line or "fix it" in line] == [
        "  ! last reload: refused. line\\u202e 3",
        "        fix it",
    ]


def test_durations_and_sizes() -> None:
    assert [duration(seconds) for seconds in (0, 59, 61, 3600, 200000)] == [
        "0 s",
        "59 s",
        "1 min 1 s",
        "1 h 0 min",
        "2 d 7 h",
    ]
    assert [size(count) for count in (0, 1023, 1536, 5 << 30)] == ["0 B", "1023 B", "1.5 KiB", "5.0 GiB"]
