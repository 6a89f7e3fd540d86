"""Every fault of a camera is noticed, counted by its reason, shown as such, and recovered from soon after it ends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.camera import need_rtsp_server
from tests.support.fault_harness import LONGEST, SLATE_AFTER, TIMEOUT, FaultHarness
from tests.support.faults import FAULTS, Fault

POLLING = 0.7
"""Seconds that polling from outside may add, on a loaded machine."""
ATTEMPT = TIMEOUT + LONGEST
"""Seconds of an extra attempt that fails only because the machine is loaded; `bench.faults` allows none."""


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultHarness]:
    need_rtsp_server()
    with FaultHarness(tmp_path_factory.mktemp("ward")) as one:
        yield one


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_it_recovers_and_nobody_else_notices(fault: Fault, harness: FaultHarness) -> None:
    course = harness.suffer(fault, well=0.5, ill=3.0 if fault.reasons else 1.5)
    if fault.reasons:
        assert course.detected is not None
        assert course.detected < TIMEOUT + POLLING
        assert course.reasons.keys() & fault.reasons
    if fault.reasons and fault.lasting:
        assert course.slate is not None
        assert course.slate < SLATE_AFTER + POLLING
    assert course.recovered < LONGEST + 2 + ATTEMPT + POLLING
    assert course.viewer_stayed
    assert course.others_lost == 0
    assert harness.other.error is None
