"""A plug-in that raises or returns nonsense affects only itself."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from sightd.daemon.isolation.protocol import PluginLostError
from sightd.daemon.pipeline.breaker import Breaker, BreakerState
from sightd.daemon.pipeline.supervisor import PluginSupervisor
from sightd.plugins.api import Canvas, Frame, Results, Tracks
from tests.daemon.pipeline.plugins import IMAGE, Finder, Observations, frame
from tests.daemon.render.scenes import canvas_on


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Faulty(Finder):
    """Returns or raises `answer`."""

    answer: Any = None

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer  # type: ignore[no-any-return]

    def predict(self, frame: Frame, results: Results) -> Results:
        raise ZeroDivisionError("predict")


def guarded(answer: Any) -> tuple[PluginSupervisor, Observations]:
    plugin, observations = Faulty(), Observations()
    plugin.answer = answer
    return PluginSupervisor(
        "faulty", plugin, observations, breaker=Breaker(threshold=3), clock=lambda: 0.0
    ), observations


@pytest.mark.parametrize(
    ("answer", "kind", "told"),
    [
        (RuntimeError("boom"), "error", "RuntimeError in process: boom"),
        (None, "invalid", "returned NoneType, expected one Results for each of 1 frames"),
        ([], "invalid", "returned 0 results, expected one Results for each of 1 frames"),
        ([None], "invalid", "returned NoneType, expected Results"),
        ([Results(Tracks.none())], "invalid", "returned Tracks, which `produces` does not declare"),
    ],
)
def test_a_fault_is_counted_and_reported_and_the_frame_goes_on(answer: Any, kind: str, told: str) -> None:
    supervisor, observations = guarded(answer)
    assert supervisor.process([frame()], [Results()]) is None
    assert told in supervisor.last_fault
    assert observations.faults == [kind]


def test_is_taken_out_after_repeated_faults() -> None:
    supervisor, observations = guarded(RuntimeError("boom"))
    for _ in range(5):
        supervisor.process([frame()], [Results()])
    assert supervisor.faults == 3
    assert observations.states[-1] is BreakerState.OPEN


def test_says_nothing_of_frames_while_it_is_out() -> None:
    supervisor, _ = guarded(RuntimeError("boom"))
    for _ in range(3):
        supervisor.process([frame()], [Results()])
    assert len(supervisor.predict(frame(), Results())) == 0
    assert supervisor.faults == 3


def test_a_fault_in_predict_counts_too() -> None:
    supervisor, observations = guarded([Results()])
    assert len(supervisor.predict(frame(), Results())) == 0
    assert observations.faults == ["error"]


def test_good_work_is_passed_on_and_timed() -> None:
    observations = Observations()
    supervisor = PluginSupervisor("good", Finder(), observations)
    assert supervisor.process([frame(seq=2)], [Results()]) is not None
    assert observations.phases == ["process"]
    assert supervisor.state is BreakerState.CLOSED


@pytest.fixture
def canvas() -> Canvas:
    return canvas_on(np.zeros((4, 4, 3), np.uint8))


class Showing(Finder):
    """Works; predicts and draws what the test sets."""

    predicts: Any = Results()
    draws: Exception | None = None

    def predict(self, frame: Frame, results: Results) -> Results:
        return self.predicts  # type: ignore[no-any-return]

    def draw(self, canvas: Canvas, frame: Frame, results: Results) -> None:
        if self.draws:
            raise self.draws


@pytest.mark.parametrize(
    ("predicted", "told"),
    [
        (None, "predict returned NoneType, expected Results"),
        (Results(Tracks.none()), "predict returned Tracks, which `produces` does not declare"),
    ],
)
def test_an_invalid_prediction_is_a_fault_and_not_passed_on(predicted: Any, told: str) -> None:
    plugin, observations = Showing(), Observations()
    plugin.predicts = predicted
    supervisor = PluginSupervisor("showing", plugin, observations)
    assert len(supervisor.predict(frame(), Results())) == 0
    assert told in supervisor.last_fault
    assert observations.faults == ["invalid"]


def test_one_that_cannot_draw_is_taken_out_of_drawing_and_goes_on_finding(canvas: Canvas) -> None:
    plugin, observations = Showing(), Observations()
    plugin.draws = RuntimeError("no ink")
    supervisor = PluginSupervisor("showing", plugin, observations, clock=lambda: 0.0)
    for seq in range(10):
        assert supervisor.process([frame(seq=seq)], [Results()]) is not None
        supervisor.draw(canvas, frame(seq=seq), Results())
    assert supervisor.faults == 3
    assert supervisor.state is BreakerState.OPEN
    assert observations.states[-1] is BreakerState.OPEN


def test_one_that_fails_on_every_second_frame_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    plugin = Faulty()
    supervisor = PluginSupervisor("faulty", plugin, Observations(), clock=lambda: 0.0)
    for seq in range(100):
        plugin.answer = RuntimeError("odd") if seq % 2 else [Results()]
        supervisor.process([frame(seq=seq)], [Results()])
    assert supervisor.faults == 50
    assert caplog.text.count("odd") == 1


def test_a_fault_reveals_no_secret() -> None:
    supervisor, _ = guarded(RuntimeError("cannot reach https://me:hunter2@example.org/hook"))
    supervisor.process([frame()], [Results()])
    assert "hunter2" not in supervisor.last_fault


def test_tells_how_long_a_call_has_been_under_way() -> None:
    plugin, now = Finder(), [100.0]
    plugin.let.clear()
    observations = Observations()
    supervisor = PluginSupervisor("slow", plugin, observations, clock=lambda: now[0])
    call = threading.Thread(target=lambda: supervisor.process([frame()], [Results()]))
    call.start()
    plugin.entered.acquire()
    now[0] = 130.0
    assert supervisor.busy_for == 30.0
    plugin.let.set()
    call.join(5)
    assert supervisor.busy_for == 0.0


class Drawer(Finder):
    """Raises what the test sets, when it draws and when it runs."""

    raised: BaseException | None = None

    def draw(self, canvas: Canvas, frame: Frame, results: Results) -> None:
        if self.raised is not None:
            raise self.raised

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        if self.raised is not None:
            raise self.raised
        return super().process(frames, results)


def test_one_whose_process_is_lost_at_the_trial_of_its_drawing_draws_again() -> None:
    clock, plugin, canvas = Clock(), Drawer(), canvas_on(IMAGE.copy())
    supervisor = PluginSupervisor("drawer", plugin, Observations(), clock=clock)
    plugin.raised = ValueError("cannot draw")
    for _ in range(3):
        supervisor.draw(canvas, frame(), Results())
    clock.now, plugin.raised = 6.0, PluginLostError("its process died", "crashed")
    supervisor.draw(canvas, frame(), Results())
    plugin.raised = None
    for clock.now in (20.0, 40.0):
        supervisor.process([frame()], [Results()])
        supervisor.draw(canvas, frame(), Results())
    assert supervisor.state is BreakerState.CLOSED


@pytest.mark.parametrize("raised", [asyncio.CancelledError(), KeyboardInterrupt(), GeneratorExit()])
def test_nothing_that_it_raises_ends_the_thread_that_calls_it(raised: BaseException) -> None:
    plugin, observations = Drawer(), Observations()
    supervisor = PluginSupervisor("drawer", plugin, observations)
    plugin.raised = raised
    said: list[object] = []

    def work() -> None:
        with contextlib.suppress(type(raised)):
            said.append(supervisor.process([frame()], [Results()]))
            supervisor.draw(canvas_on(IMAGE.copy()), frame(), Results())

    worker = threading.Thread(target=work)
    worker.start()
    worker.join(10)
    assert said == [None]
    assert observations.faults == ["error", "error"]
