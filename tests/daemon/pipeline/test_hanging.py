"""A plug-in that hangs is detected, abandoned and skipped; everything else continues, and it is retried later."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from sightd.daemon.pipeline.breaker import Breaker, BreakerState
from sightd.daemon.pipeline.camera_pipeline import CameraPipeline
from sightd.daemon.pipeline.manager import PluginManager
from sightd.daemon.pipeline.supervisor import PluginSupervisor
from sightd.plugins.api import Detections, PluginConfig, Results, Tracks
from tests.daemon.pipeline.plugins import Finder, Follower, Observations, ParallelFinder, frame
from tests.support.waiting import eventually


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Hanging:
    """A supervisor whose plug-in is in a call, with a clock set by the test."""

    def __init__(self) -> None:
        self.clock, self.plugin, self.observations = Clock(), Finder(), Observations()
        self.supervisor = PluginSupervisor(
            "finder", self.plugin, self.observations, breaker=Breaker(cooldown=5.0), clock=self.clock
        )
        self.plugin.let.clear()
        self.answer: list[object] = []
        self.given_up: list[str] = []
        self._thread = threading.Thread(target=self._call)
        self._thread.start()
        self.plugin.entered.acquire()

    def _call(self) -> None:
        self.answer.append(self.supervisor.process([frame(seq=1)], [Results()], lambda: self.given_up.append("once")))

    def comes_back(self) -> None:
        self.plugin.let.set()
        self._thread.join(10)


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    case = Hanging()
    yield case
    case.comes_back()


def test_a_call_within_the_limit_is_left_alone(hanging: Hanging) -> None:
    hanging.clock.now = 9.9
    hanging.supervisor.check_hung()
    assert hanging.observations.faults == []
    hanging.comes_back()
    assert hanging.answer != [None]


def test_a_call_beyond_it_is_one_fault_that_takes_the_plugin_out_while_it_still_hangs(hanging: Hanging) -> None:
    for hanging.clock.now in (10.1, 11.1, 12.1):
        hanging.supervisor.check_hung()
    assert hanging.observations.faults == ["timeout"]
    assert hanging.given_up == ["once"]
    assert hanging.supervisor.state is BreakerState.OPEN
    assert hanging.supervisor.last_fault == "TimeoutError in process: no response after 10 s"
    assert hanging.supervisor.hanging == 1


def test_a_late_answer_is_thrown_away_and_a_trial_decides(hanging: Hanging) -> None:
    hanging.clock.now = 10.1
    hanging.supervisor.check_hung()
    hanging.comes_back()
    assert hanging.answer == [None]
    assert hanging.supervisor.process([frame(seq=2)], [Results()]) is None, "that it came back at last says nothing"
    hanging.clock.now = 15.2
    assert hanging.supervisor.process([frame(seq=3)], [Results()]) is not None
    assert hanging.observations.states == [BreakerState.OPEN, BreakerState.CLOSED]


def test_a_late_fault_is_not_a_second_one(hanging: Hanging) -> None:
    def fails() -> None:
        raise RuntimeError("too late")

    hanging.plugin.before = fails
    hanging.clock.now = 10.1
    hanging.supervisor.check_hung()
    hanging.comes_back()
    assert hanging.observations.faults == ["timeout"]


@pytest.fixture
def manager() -> Iterator[PluginManager]:
    def no_engines(*_: object) -> object:
        raise AssertionError("asks for no network")

    plugins = PluginManager(no_engines, lambda _: Observations(), hangs_after=0.3)  # type: ignore[arg-type]
    plugins.add(plugins.open("finder", Finder, PluginConfig(), cameras=2))
    plugins.add(plugins.open("follower", Follower, PluginConfig(), cameras=2))
    plugins.add(plugins.open("other", Finder, PluginConfig(), cameras=2))
    yield plugins
    finder_of(plugins, "finder").let.set()
    plugins.close()


def finder_of(plugins: PluginManager, name: str) -> Finder:
    plugin = plugins.instances[name].supervisor.plugin
    assert isinstance(plugin, Finder)
    return plugin


def analysed(pipeline: CameraPipeline, seq: int) -> Results:
    task = pipeline.offer(frame(pipeline.camera, seq))
    assert task is not None
    assert task.wait(20)
    return task.results


def test_frames_go_on_while_its_thread_is_stuck_and_come_to_it_again_when_it_is_free(manager: PluginManager) -> None:
    finder = finder_of(manager, "finder")
    a, b = (manager.pipeline(name, ["other", "finder", "follower"]) for name in "ab")
    analysed(a, 0)
    finder.let.clear()
    assert Tracks in analysed(a, 1), "the frame it hangs at goes on, with predictions"
    assert Tracks in analysed(b, 1), "so do those of cameras that waited for it"
    assert "b" not in {camera for camera, _ in finder.seen}
    for seq in range(2, 5):
        assert Detections in analysed(a, seq), "the plug-in before it finds on every frame"
    assert finder_of(manager, "other").seen[-1] == ("a", 4)
    finder.let.set()
    supervisor = manager.instances["finder"].supervisor
    eventually(lambda: supervisor.hanging == 0, 10)
    supervisor._breakers["process"].retry_at = 0.0
    eventually(lambda: analysed(a, 5) is not None and supervisor.state is BreakerState.CLOSED, 10)


def test_what_waited_for_a_plugin_that_hangs_does_not_wait_forever(manager: PluginManager) -> None:
    finder = finder_of(manager, "finder")
    finder.let.clear()
    pipelines = [manager.pipeline(name, ["finder"]) for name in "abc"]
    tasks = [pipeline.offer(frame(pipeline.camera, 1)) for pipeline in pipelines]
    assert all(task is not None and task.wait(20) for task in tasks)
    assert pipelines[0].offer(frame("a", 2)) is None, "there is nobody to offer it to"


def test_all_that_hang_are_left_behind_in_the_time_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightd.daemon.pipeline.manager.STOP_DEADLINE", 1.0)
    plugins = PluginManager(None, lambda _: Observations(), cores=3)  # type: ignore[arg-type]
    names = ["one", "two", "three"]
    for name in names:
        plugins.add(plugins.open(name, ParallelFinder, PluginConfig(), cameras=3))
        finder_of(plugins, name).let.clear()
    for camera in "abc":
        for name in names:
            plugins.pipeline(f"{camera} {name}", [name]).offer(frame(f"{camera} {name}", 1))
    finders = [finder_of(plugins, name) for name in names]
    eventually(lambda: all(len(finder.seen) == 3 for finder in finders))
    begun = time.monotonic()
    plugins.close()
    took = time.monotonic() - begun
    for finder in finders:
        finder.let.set()
    assert took < 2.8, "and not of three"


class Holding(Finder):
    """Forgets a camera only when the test lets it."""

    released = threading.Event()

    def forget(self, camera: str) -> None:
        self.released.wait(20)
        super().forget(camera)


def test_one_that_does_not_let_go_of_a_camera_holds_up_no_stop(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sightd.daemon.pipeline.manager.FORGET_DEADLINE", 0.2)
    manager = PluginManager(lambda *_: None, lambda _: Observations(), cores=2)  # type: ignore[arg-type]
    manager.add(manager.open("finder", Holding, PluginConfig(), cameras=1))
    manager.pipeline("a", ["finder"])
    begun = time.monotonic()
    manager.forget("a")
    assert time.monotonic() - begun < 5
    assert "camera a: a plug-in has not released the camera yet" in caplog.text
    Holding.released.set()
    eventually(lambda: not any(thread.name == "forget:a" for thread in threading.enumerate()))
    manager.close()
