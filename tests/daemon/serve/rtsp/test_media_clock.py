from __future__ import annotations

import itertools
import time
from dataclasses import dataclass

import pytest

from sightd.daemon.serve.rtsp.stream import MediaClock


@dataclass
class Element:
    """A pipeline element whose running time began at `base` on the monotonic clock, ns."""

    base: int = 0

    def get_base_time(self) -> int:
        return self.base

    def get_clock(self) -> Element | None:
        return self if self.base else None

    def get_time(self) -> int:
        return time.monotonic_ns()


def test_times_are_those_of_capture_on_the_pipelines_clock() -> None:
    begun = time.monotonic_ns()
    clock, element = MediaClock(), Element(base=begun)
    times = [clock.pts(begun / 1e9 + seconds, element) for seconds in (0.5, 0.54, 0.59)]
    assert times == pytest.approx([500_000_000, 540_000_000, 590_000_000], abs=200_000)


def test_times_never_stand_still_nor_go_back() -> None:
    begun = time.monotonic_ns()
    clock, element = MediaClock(), Element(base=begun)
    times = [clock.pts(begun / 1e9 + seconds, element) for seconds in (-1.0, -0.9, 0.1, 0.1, 0.05)]
    assert times[0] == 0
    assert all(later > earlier for earlier, later in itertools.pairwise(times))


def test_before_the_pipeline_runs_times_begin_at_nought() -> None:
    clock, element = MediaClock(), Element()
    assert clock.pts(time.monotonic(), element) == 0
    element.base = time.monotonic_ns()
    assert clock.pts(time.monotonic(), element) < 100_000_000
