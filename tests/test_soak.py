"""Three minutes of all that befalls a daemon in months, at random from a seed (`bench.soak` has the long form)."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.soak import soak
from tests.support.camera import need_rtsp_server

pytestmark = pytest.mark.waiting

SECONDS = 180.0


@pytest.mark.timeout(2 * SECONDS)
def test_nothing_is_lost_without_a_count_and_nothing_is_left_behind(tmp_path: Path) -> None:
    need_rtsp_server()
    outcome = soak(tmp_path, SECONDS, seed=6, tell=lambda _line: None)
    assert outcome.lost == 0
    assert outcome.recovered >= 4
    assert outcome.faults_of_plugins == 0
    assert sum(outcome.happened.values()) >= 30
    per_three_minutes = SECONDS / 600
    assert outcome.thread_growth * per_three_minutes < 8, "some end a little later than the short rests"
    assert outcome.descriptor_growth * per_three_minutes < 16
    assert outcome.memory_growth * per_three_minutes < 60, "MiB: it is still warming up"
