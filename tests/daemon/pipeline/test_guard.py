"""A plug-in that raises or returns nonsense hurts only itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from daemon.pipeline.breaker import Breaker, BreakerState
from daemon.pipeline.guard import Guard
from plugins.types import Frame, Results, Tracks
from tests.daemon.pipeline.plugins import Finder, Observations, frame


class Faulty(Finder):
    """Returns or raises whatever it is told."""

    answer: Any = None

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer  # type: ignore[no-any-return]

    def carry(self, frame: Frame, results: Results) -> Results:
        raise ZeroDivisionError("carry")


def guarded(answer: Any) -> tuple[Guard, Observations]:
    plugin, observations = Faulty(), Observations()
    plugin.answer = answer
    return Guard("faulty", plugin, observations, breaker=Breaker(threshold=3), clock=lambda: 0.0), observations


@pytest.mark.parametrize(
    ("answer", "kind", "told"),
    [
        (RuntimeError("boom"), "error", "RuntimeError in process: boom"),
        (None, "invalid", "gave NoneType, expected one Results for each of 1 frames"),
        ([], "invalid", "gave 0 results, expected one Results for each of 1 frames"),
        ([None], "invalid", "gave NoneType, expected Results"),
        ([Results(Tracks.none())], "invalid", "gave Tracks, which `gives` does not declare"),
    ],
)
def test_a_fault_is_counted_and_told_and_the_frame_goes_on(answer: Any, kind: str, told: str) -> None:
    guard, observations = guarded(answer)
    assert guard.process([frame()], [Results()]) is None
    assert told in guard.last_fault
    assert observations.faults == [kind]


def test_is_taken_out_after_repeated_faults() -> None:
    guard, observations = guarded(RuntimeError("boom"))
    for _ in range(5):
        guard.process([frame()], [Results()])
    assert guard.faults == 3
    assert observations.states[-1] is BreakerState.OPEN


def test_says_nothing_of_frames_while_it_is_out() -> None:
    guard, _ = guarded(RuntimeError("boom"))
    for _ in range(3):
        guard.process([frame()], [Results()])
    assert len(guard.carry(frame(), Results())) == 0
    assert guard.faults == 3


def test_a_fault_in_carry_counts_too() -> None:
    guard, observations = guarded([Results()])
    assert len(guard.carry(frame(), Results())) == 0
    assert observations.faults == ["error"]


def test_good_work_is_passed_on_and_timed() -> None:
    observations = Observations()
    guard = Guard("good", Finder(), observations)
    assert guard.process([frame(seq=2)], [Results()]) is not None
    assert observations.phases == ["process"]
    assert guard.state is BreakerState.CLOSED
