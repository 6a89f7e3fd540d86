"""A few minutes of random, seeded events that a daemon sees over months (`bench.soak` has the long version)."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.soak import soak
from tests.support.camera import need_rtsp_server

pytestmark = [pytest.mark.waiting, pytest.mark.slow]


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("seconds", "seed"), [(180, 6)])
def test_nothing_is_lost_without_a_count_and_nothing_is_left_behind(tmp_path: Path, seconds: int, seed: int) -> None:
    need_rtsp_server()
    outcome = soak(tmp_path, seconds, seed=seed, report=lambda _line: None)
    assert outcome.lost == 0
    assert outcome.recovered >= seconds / 45
    assert outcome.faults_of_plugins == 0
    assert sum(outcome.happened.values()) >= seconds / 6
    share = seconds / 600
    assert outcome.thread_growth * share < 8, "some end a little later than the short rests"
    assert outcome.descriptor_growth * share < 16
    assert outcome.memory_growth * share < 60, "MiB: it is still warming up"
