"""A running daemon follows its configuration: changes are applied, and nothing else is affected."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.daemon.config.examples import write_exported
from tests.support.camera import CameraSimulator, Look, need_rtsp_server
from tests.support.daemon import DaemonProcess, one_object_network
from tests.support.uncounted import uncounted
from tests.support.viewer import Viewer
from tests.support.waiting import eventually

pytestmark = pytest.mark.waiting

CHANGES = {"X-Sightd": "1"}
PATTERN = {"source": "testpattern://", "width": 320, "height": 240, "fps": 25}


@pytest.fixture(scope="module")
def camera() -> Iterator[CameraSimulator]:
    need_rtsp_server()
    with CameraSimulator(Look(size=(320, 240), fps=25), mounts=1) as simulator:
        yield simulator


def configuration(folder: Path, camera: CameraSimulator | None = None) -> dict[str, Any]:
    numbered = PATTERN if camera is None else {"source": camera.address(0)}
    return {
        "cameras": {"a": PATTERN, "b": {**numbered, "chain": []}},
        "chain": ["detector"],
        "plugins": {"detector": one_object_network(folder)},
        "log": {"level": "info"},
    }


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, camera: CameraSimulator) -> Iterator[DaemonProcess]:
    folder = tmp_path_factory.mktemp("daemon")
    with DaemonProcess(folder, configuration(folder, camera)) as process:
        yield process


@pytest.fixture
def daemon(running: DaemonProcess) -> Iterator[DaemonProcess]:
    """One daemon for all tests; its first configuration is restored after each."""
    first = running.path.read_text()
    eventually(lambda: bool(running.readiness()["ready"]), 15, "daemon ready")
    yield running
    running.path.write_text(first)
    assert reload(running).status_code == 200


def rewrite(daemon: DaemonProcess, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes the daemon's configuration file; it keeps the ports that it serves on."""
    settings = yaml.safe_load(daemon.path.read_text())
    change(settings)
    daemon.path.write_text(yaml.safe_dump(settings))


def reload(daemon: DaemonProcess) -> httpx.Response:
    return httpx.post(daemon.url("/api/v1/reload"), headers=CHANGES, timeout=30)


def captured(daemon: DaemonProcess, camera: str) -> float:
    return daemon.metric("sightd_frames_total", camera=camera, stage="captured")


def reloads_refused(daemon: DaemonProcess) -> float:
    return daemon.metric("sightd_config_reloads_total", outcome="refused")


def test_cameras_come_change_and_go_and_the_others_lose_no_frame(daemon: DaemonProcess) -> None:
    with Viewer(daemon.rtsp("b"), keep=5) as viewer:
        viewer.wait_for(10)
        before, lost = captured(daemon, "b"), uncounted(daemon, viewer, "b")
        rewrite(daemon, lambda s: s["cameras"].update(c={"source": "testpattern://", "chain": ["detector"]}))
        assert reload(daemon).json()["added"] == ["c"]
        eventually(lambda: daemon.get("/c.jpg").status_code == 200, 10)
        rewrite(daemon, lambda s: s["cameras"]["a"].update(title="Another", fps=10))
        assert reload(daemon).json()["changed"] == ["a"]
        rewrite(daemon, lambda s: s["cameras"].pop("c"))
        assert reload(daemon).json()["removed"] == ["c"]
        assert daemon.get("/c.jpg").status_code == 404
        viewer.wait_for(60)
        lost = uncounted(daemon, viewer, "b") - lost
    numbers = [one.bar.number for one in viewer.seen if one.bar is not None]
    assert len(numbers) > 50
    assert viewer.in_order()
    assert lost <= 0, "of what the camera sent nothing is missing that was not counted as left out"
    assert captured(daemon, "b") > before
    assert daemon.metric("sightd_config_last_reload_successful") == 1
    with pytest.raises(KeyError):
        captured(daemon, "c")
    eventually(lambda: bool(daemon.readiness()["ready"]), 10)


def test_viewers_of_a_changed_camera_stay(daemon: DaemonProcess) -> None:
    with Viewer(daemon.rtsp("a"), keep=5) as viewer:
        viewer.wait_for(10)
        rewrite(daemon, lambda s: s["plugins"]["detector"].update(every=2))
        answer = reload(daemon).json()
        assert (answer["replaced"], answer["changed"]) == (["detector"], ["a"])
        seen = len(viewer.seen)
        viewer.wait_for(seen + 20)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda s: s["cameras"]["a"].update(fsp=3), "did you mean"),
        (
            lambda s: s["plugins"].update(detector={"model": {"file": "none.onnx", "head": "ssd", "labels": ["x"]}}),
            "none.onnx",
        ),
        (lambda s: s.clear(), "camera"),
    ],
)
def test_what_cannot_be_followed_changes_nothing_and_says_why(
    change: Callable[[dict[str, Any]], None], told: str, daemon: DaemonProcess
) -> None:
    before, refused, log = captured(daemon, "a"), reloads_refused(daemon), len(daemon.log)
    rewrite(daemon, change)
    answer = reload(daemon)
    assert answer.status_code == 409
    assert told in answer.json()["detail"]
    assert daemon.metric("sightd_config_last_reload_successful") == 0
    assert reloads_refused(daemon) == refused + 1
    eventually(lambda: captured(daemon, "a") > before + 5, 5)
    assert daemon.readiness()["ready"]
    assert "was not applied and nothing was changed" in daemon.log[log:]


def test_sections_that_take_a_restart_are_reported_and_the_rest_is_followed(daemon: DaemonProcess) -> None:
    rewrite(daemon, lambda s: s.update(http={**s["http"], "max_viewers": 3}, cameras={"a": s["cameras"]["a"]}))
    answer = reload(daemon).json()
    assert (answer["restart"], answer["removed"]) == (["http"], ["b"])
    assert "changes to these sections require a restart: http" in daemon.log


def test_others_may_not_ask(daemon: DaemonProcess) -> None:
    assert httpx.post(daemon.url("/api/v1/reload")).status_code == 403
    foreign = httpx.post(daemon.url("/api/v1/reload"), headers={**CHANGES, "Host": "evil.example"})
    assert foreign.status_code == 403


def test_systemd_is_notified_of_the_start_the_reload_and_the_end(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(tmp_path / "notify"))
        supervisor.settimeout(20)

        def until(message: bytes) -> list[bytes]:
            seen = [supervisor.recv(4096)]
            while seen[-1] != message:
                seen.append(supervisor.recv(4096))
            return seen

        environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "3000000"}
        with DaemonProcess(tmp_path, configuration(tmp_path), environ) as daemon:
            until(b"READY=1")
            until(b"WATCHDOG=1")
            daemon.signal(signal.SIGHUP)
            while not supervisor.recv(4096).startswith(b"RELOADING=1\nMONOTONIC_USEC="):
                pass
            until(b"READY=1")
            eventually(lambda: "was applied: nothing changed" in daemon.log, 5)
            status = until(b"WATCHDOG=1")
            while not any(one.startswith(b"STATUS=2 of 2 cameras live") for one in status):
                status = until(b"WATCHDOG=1")
            code, took = daemon.terminate()
            assert (code, took < 5) == (0, True)
            until(b"STOPPING=1")


def of_plugins(daemon: DaemonProcess, family: str) -> list[str]:
    return [line for line in daemon.get("/metrics").text.splitlines() if line.startswith(f"{family}{{")]


def test_the_model_that_a_plugin_ran_before_is_no_longer_reported(daemon: DaemonProcess, tmp_path: Path) -> None:
    before = Path(yaml.safe_load(daemon.path.read_text())["plugins"]["detector"]["model"]["file"])
    another = tmp_path / "another.onnx"
    another.write_bytes(before.read_bytes())
    rewrite(daemon, lambda s: s["plugins"]["detector"]["model"].update(file=str(another)))
    assert reload(daemon).json()["replaced"] == ["detector"]
    [told] = of_plugins(daemon, "sightd_engine_info")
    assert "another" in told


def test_a_reload_follows_to_a_file_that_shows_what_it_is(daemon: DaemonProcess, tmp_path: Path) -> None:
    best = write_exported(tmp_path / "best.onnx")
    rewrite(daemon, lambda s: s["plugins"]["detector"].update(model=str(best)))
    assert reload(daemon).json()["replaced"] == ["detector"]
    [told] = of_plugins(daemon, "sightd_engine_info")
    assert 'model="best"' in told


def test_a_model_that_was_replaced_under_the_same_name_is_opened_anew(daemon: DaemonProcess, tmp_path: Path) -> None:
    best = write_exported(tmp_path / "best.onnx")
    rewrite(daemon, lambda s: s["plugins"]["detector"].update(model=str(best)))
    assert reload(daemon).json()["replaced"] == ["detector"]
    assert reload(daemon).json()["replaced"] == []
    newer = write_exported(tmp_path / "newer.onnx")
    newer.replace(best)
    assert reload(daemon).json()["replaced"] == ["detector"]


def test_a_plugin_that_a_refused_file_would_have_had_leaves_no_series(daemon: DaemonProcess, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no network")

    def change(settings: dict[str, Any]) -> None:
        settings["chain"] = ["detector", "tracker"]
        settings["plugins"]["detector"]["model"]["file"] = str(broken)

    rewrite(daemon, change)
    assert reload(daemon).status_code == 409
    assert len(of_plugins(daemon, "sightd_plugin_breaker_state")) == 1
