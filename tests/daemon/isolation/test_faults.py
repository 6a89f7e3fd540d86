"""A fault of an isolated plug-in affects only its own process: it is counted, logged and recovered from."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from sightd.daemon.pipeline.breaker import Breaker, BreakerState
from sightd.daemon.pipeline.camera_pipeline import CameraPipeline
from sightd.daemon.pipeline.manager import Instance, PluginManager
from sightd.plugins.api import AnyPlugin, Detections, Frame, PluginConfig, Results, Tracks
from tests.daemon.isolation.plugins import (
    EXITS,
    HANGS,
    HANGS_NATIVELY,
    LEAKS,
    NONSENSE,
    RAISES,
    SEGFAULTS,
    UNSENDABLE,
    Faulty,
    Painter,
    SlowOpener,
    found,
    scores,
)
from tests.daemon.isolation.test_proxy import Board
from tests.daemon.pipeline.plugins import Finder, Follower, Observations, frame
from tests.support.waiting import eventually

SOON = 60.0
"""Seconds within which a new process opens the plug-in, on a loaded machine."""
Open = Callable[..., "House"]


class House:
    """A faulty isolated plug-in in the middle of the chain of two cameras."""

    def __init__(
        self, manager: PluginManager, plugin: type[AnyPlugin], config: PluginConfig, told: dict[str, Observations]
    ):
        for name, kind, options in (
            ("other", Finder, PluginConfig()),
            ("faulty", plugin, config),
            ("follower", Follower, PluginConfig()),
        ):
            manager.add(manager.open(name, kind, options, cameras=2))
        self.instance: Instance = manager.instances["faulty"]
        self.supervisor = self.instance.supervisor
        self.supervisor._breakers["process"] = Breaker(threshold=3, cooldown=0.5)
        self.observations = told["faulty"]
        self.pipelines = [manager.pipeline(name, ["other", "faulty", "follower"]) for name in "ab"]

    def pid(self) -> int:
        """Returns its process ID, as reported by itself; 0 if it does not respond."""
        found = self.supervisor.process([frame(seq=1)], [Results()])
        return 0 if found is None else int(scores(found[0].results)[0])

    def healed(self) -> int:
        """Waits until it produces results again and returns its process ID."""
        eventually(lambda: self.pid() != 0, SOON, f"healed of {self.supervisor.last_fault}")
        return self.pid()


@pytest.fixture
def opened() -> Iterator[Open]:
    def no_engines(*_: object) -> object:
        raise AssertionError("asks for no network")

    with ExitStack() as closing:

        def open_one(plugin: type[AnyPlugin] = Faulty, hangs_after: float = 60.0, **options: Any) -> House:
            told: dict[str, Observations] = {}
            manager = PluginManager(
                no_engines,  # type: ignore[arg-type]
                lambda name: told.setdefault(name, Observations()),
                hangs_after=hangs_after,
            )
            closing.callback(manager.close)
            return House(manager, plugin, PluginConfig(isolate=True, **options), told)

        yield open_one


def analysed(pipeline: CameraPipeline, seq: int) -> Results:
    task = pipeline.offer(frame(pipeline.camera, seq))
    assert task is not None
    assert task.wait(SOON)
    return task.results


@pytest.mark.parametrize(
    ("seq", "reason", "told"),
    [
        (RAISES, "error", "ValueError in process: cannot see rtsp://***@camera/"),
        (NONSENSE, "invalid", "process returned NoneType, expected Results"),
        (UNSENDABLE, "invalid", "its result cannot be sent to the daemon"),
    ],
)
def test_a_fault_of_python_is_reported_as_if_it_were_here_and_its_process_lives_on(
    opened: Open, seq: int, reason: str, told: str
) -> None:
    house = opened()
    pid = house.pid()
    assert house.supervisor.process([frame(seq=seq)], [Results()]) is None
    assert told in house.supervisor.last_fault
    assert house.observations.faults == [reason]
    assert house.pid() == pid


@pytest.mark.parametrize(
    ("seq", "told"), [(SEGFAULTS, "its process was killed by SIGSEGV"), (EXITS, "its process exited with code 3")]
)
def test_its_death_is_one_fault_its_frame_goes_on_and_another_process_takes_over(
    opened: Open, seq: int, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    house = opened()
    pid = house.pid()
    a, b = house.pipelines
    assert Tracks in analysed(a, seq), "the frame at which it died goes on"
    assert house.observations.faults == ["crashed"]
    assert told in house.supervisor.last_fault
    assert house.supervisor.state is BreakerState.OPEN
    for number in range(2001, 2004):
        for pipeline in (a, b):
            assert Detections in analysed(pipeline, number), "the plug-in before it finds on every frame"
    assert house.healed() != pid
    assert house.observations.restarts == 1
    assert house.observations.faults == ["crashed"]
    if seq == SEGFAULTS:
        assert "Segmentation fault" in caplog.text, "the log shows the line"


@pytest.mark.parametrize("seq", [HANGS, HANGS_NATIVELY])
def test_a_call_that_hangs_is_ended_with_its_process(opened: Open, seq: int) -> None:
    house = opened(hangs_after=0.5)
    pid = house.pid()
    assert Tracks in analysed(house.pipelines[0], seq)
    assert house.observations.faults == ["timeout"]
    eventually(lambda: house.supervisor.hanging == 0, 20, "its thread is free")
    assert not Path(f"/proc/{pid}").exists()
    assert house.healed() != pid
    assert house.observations.faults == ["timeout"]


def test_one_that_leaks_is_replaced(opened: Open) -> None:
    house = opened(max_memory="300MiB")
    pid = house.pid()
    eventually(lambda: bool(house.observations.sizes), 20)
    assert 10 * 2**20 < house.observations.sizes[-1] < 300 * 2**20
    house.supervisor.process([frame(seq=LEAKS)], [Results()])
    eventually(lambda: house.pid() == 0, 30, "it was ended at the next look")
    assert house.healed() != pid
    assert house.observations.faults == ["memory"]
    assert "MiB of memory, above max_memory (300 MiB)" in house.supervisor.last_fault
    assert house.observations.cpu > 0


def test_drawing_that_hangs_holds_the_picture_up_once(opened: Open) -> None:
    house = opened(Painter)
    house.supervisor.draw(Board(), frame(seq=HANGS), Results())
    assert house.observations.faults == ["timeout"]
    assert "was killed because draw took longer than 2 s" in house.supervisor.last_fault
    assert house.supervisor.state is BreakerState.OPEN
    eventually(lambda: house.supervisor.process([frame()], [Results()]) is not None, SOON)


def test_one_that_cannot_start_again_says_why_and_is_tried_again(
    opened: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lapsed = tmp_path / "lapsed"
    monkeypatch.setenv("SLOW_OPENER", str(lapsed))
    house = opened(SlowOpener)
    lapsed.touch()
    house.supervisor.process([frame(seq=EXITS)], [Results()])
    eventually(lambda: house.pid() == 0 and "error" in house.observations.faults, SOON)
    assert house.supervisor.last_fault == "its licence has run out"
    lapsed.unlink()
    house.healed()


def test_what_it_writes_comes_into_the_log_without_secrets(opened: Open, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        opened(Talker)
        eventually(lambda: "printed" in caplog.text and "logged" in caplog.text, 20)
    assert "plug-in faulty: printed rtsp://***@camera/" in caplog.text
    [record] = [record for record in caplog.records if "logged" in record.getMessage()]
    assert record.name == Talker.__module__
    assert record.levelno == logging.ERROR
    assert "hunter2" not in caplog.text


class Talker(Faulty):
    def open(self, context: object) -> None:
        sys.stderr.write("printed rtsp://me:hunter2@camera/\n")
        sys.stderr.flush()
        logging.getLogger(__name__).error("logged rtsp://me:hunter2@camera/")


_DAEMON = """
import sys, threading
from sightd.daemon.pipeline.manager import PluginManager
from sightd.plugins.api import PluginConfig
from sightd.plugins.api import Results
from tests.daemon.isolation.plugins import Faulty, HANGS_NATIVELY, scores
from tests.daemon.pipeline.plugins import Observations, frame

manager = PluginManager(None, lambda _: Observations())
supervisor = manager.open("faulty", Faulty, PluginConfig(isolate=True), cameras=1).supervisor
print(int(scores(supervisor.process([frame()], [Results()])[0].results)[0]), flush=True)
supervisor.process([frame(seq=HANGS_NATIVELY)], [Results()])
"""


def test_dies_with_the_daemon_even_while_it_hangs_in_a_native_library() -> None:
    with subprocess.Popen([sys.executable, "-c", _DAEMON], stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout is not None
        pid = int(daemon.stdout.readline())
        eventually(lambda: "S" in _state(pid), 10)
        os.kill(daemon.pid, signal.SIGKILL)
        daemon.wait(10)
        eventually(lambda: _state(pid) in ("", "Z"), 10, "the plug-in's process is gone")


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


class Parent(Faulty):
    """Starts a program that keeps running when it dies."""

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        if frames[0].seq == 1:
            return [found(subprocess.Popen(["sleep", "600"]).pid)]
        return super().process(frames, results)


def test_what_it_started_goes_with_it_when_it_dies_by_itself(opened: Open) -> None:
    house = opened(Parent)
    sleeper = house.pid()
    assert _state(sleeper) in ("R", "S", "D")
    house.supervisor.process([frame(seq=EXITS)], [Results()])
    assert "exited with code 3" in house.supervisor.last_fault
    eventually(lambda: _state(sleeper) in ("", "Z"), 5, "the program is gone")
