"""The daemon's parts are started and stopped in order, even if something fails on the way."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sightd.daemon.app.cameras import CameraRun
from sightd.daemon.app.daemon import Daemon
from sightd.daemon.app.health import reachable
from sightd.daemon.cli.main import main
from sightd.daemon.config.load import load_text
from sightd.daemon.config.plugin_entries import installed_plugins
from sightd.daemon.isolation.opening import LoadEngine
from sightd.engines.cuda.gpus import Gpus
from sightd.engines.errors import EngineError
from sightd.plugins.api import Frame
from tests.daemon.tools.test_media import write_video
from tests.support.daemon import one_object_network
from tests.support.process_logging import restored
from tests.support.stub_plugins import STUBS
from tests.support.waiting import eventually


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    with restored():
        yield


def no_engine(choice: object, threads: int, config: object) -> Any:
    raise AssertionError("no network is asked for")


def daemon_of(cameras: dict[str, dict[str, Any]]) -> Daemon:
    text = yaml.safe_dump({"cameras": cameras, "rtsp": {"enabled": False}, "http": {"enabled": False}})
    load: LoadEngine = no_engine
    return Daemon(load_text(text, Path("site.yaml"), environ={}, plugins=STUBS), load, Gpus())


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a camera that accepts connections and never sends anything."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield server.getsockname()[1]


def test_many_cameras_that_hang_stop_in_the_time_of_one(silent: int) -> None:
    source = {"source": f"rtsp://127.0.0.1:{silent}/x", "timeout": "20s"}
    daemon = daemon_of({f"camera{n}": source for n in range(6)})
    daemon.start()
    eventually(lambda: all(entry.state == "connecting" for entry in daemon.state.readiness().cameras.values()))
    begun = time.monotonic()
    daemon.stop()
    assert time.monotonic() - begun < 5


def test_cameras_are_named_and_waited_for_while_plugins_are_still_being_opened(tmp_path: Path) -> None:
    text = yaml.safe_dump(
        {
            "cameras": {
                "front": {"source": "testpattern://", "title": "Front"},
                "off": {"source": "x", "enabled": False},
            },
            "chain": ["detector"],
            "plugins": {"detector": one_object_network(tmp_path)},
            "rtsp": {"enabled": False},
            "http": {"port": 0},
        }
    )
    seen: list[Any] = []

    def while_opening(choice: object, threads: int, config: object) -> Any:
        seen.append(
            (
                [entry.title for entry in daemon.state.cameras()],
                daemon.state.jpeg("front"),
                daemon.state.readiness().reasons,
            )
        )
        raise EngineError("no network")

    daemon = Daemon(load_text(text, Path("site.yaml"), environ={}, plugins=installed_plugins()), while_opening, Gpus())
    try:
        with pytest.raises(EngineError):
            daemon.start()
    finally:
        daemon.stop()
    [(titles, jpeg, reasons)] = seen
    assert titles == ["Front"]
    assert jpeg is not None
    assert "starting" in reasons[0]


@pytest.fixture
def handlers() -> Iterator[None]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
def test_a_signal_ends_a_start_that_takes_long_and_that_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening, ended = threading.Event(), threading.Event()

    def takes_long(choice: object, threads: int, config: object) -> Any:
        opening.set()
        ended.wait(60)
        raise EngineError("nobody waits for this")

    monkeypatch.setattr("sightd.daemon.pipeline.model_loading.engine_loading", lambda *_: takes_long)
    path = tmp_path / "site.yaml"
    settings = {
        "cameras": {"a": {"source": "testpattern://"}},
        "chain": ["detector"],
        "plugins": {"detector": one_object_network(tmp_path)},
        "rtsp": {"enabled": False},
        "http": {"enabled": False},
    }
    path.write_text(yaml.safe_dump(settings))

    def ask() -> None:
        opening.wait(10)
        os.kill(os.getpid(), signal.SIGTERM)

    asking = threading.Thread(target=ask)
    asking.start()
    begun = time.monotonic()
    assert main(["run", "-c", str(path)]) == 0
    assert time.monotonic() - begun < 30
    ended.set()
    asking.join()


def test_addresses_are_those_that_the_servers_listen_on() -> None:
    assert [reachable(host) for host in ("0.0.0.0", "::", "", "10.0.0.5")] == ["127.0.0.1"] * 3 + ["10.0.0.5"]


def test_a_start_that_breaks_off_half_way_can_be_asked_about_and_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = daemon_of({name: {"source": "testpattern://"} for name in ("a", "b")})
    start = CameraRun.start

    def signalled(run: CameraRun) -> None:
        if run.name == "b":
            raise InterruptedError
        start(run)

    monkeypatch.setattr(CameraRun, "start", signalled)
    with pytest.raises(InterruptedError):
        daemon.start()
    assert daemon.state.healthy()[0]
    assert not daemon.state.readiness().ready
    daemon.stop()


def test_a_recording_at_its_end_is_ready_and_its_slate_says_that_it_ended(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", count=5)
    daemon = daemon_of({"a": {"source": str(clip), "loop": False}})
    daemon.start()
    try:
        eventually(lambda: daemon.state.readiness().cameras["a"].state == "ended")
        assert daemon.state.readiness().ready
        assert daemon._camera_manager.runs["a"]._output.ended
    finally:
        daemon.stop()


def test_a_camera_whose_pictures_cannot_be_shown_is_not_ready_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_frame: Frame) -> None:
        raise TypeError("no such colour")

    daemon = daemon_of({"a": {"source": "testpattern://"}})
    daemon.start()
    try:
        eventually(lambda: daemon.state.readiness().ready)
        output = daemon._camera_manager.runs["a"]._output
        monkeypatch.setattr(output, "_turn", fails)
        eventually(lambda: daemon.state.readiness().cameras["a"].state == "failing")
        [reason] = daemon.state.readiness().reasons
        assert reason.startswith("camera a is failing: a frame could not be shown: TypeError")
        assert daemon.state.healthy()[0], "the process makes progress: the next picture is tried"
        monkeypatch.undo()
        eventually(lambda: daemon.state.readiness().ready)
    finally:
        daemon.stop()
