"""`every` and `max_fps` decide which frames a plug-in runs on."""

from __future__ import annotations

import numpy as np
import pytest

from sightd.daemon.pipeline.worker import RateLimit
from sightd.plugins.api import Frame, PluginConfig

IMAGE = np.zeros((2, 2, 3), np.uint8)


def taken(rate_limit: RateLimit, fps: float, seconds: float, camera: str = "a", start: float = 0.0) -> list[int]:
    """Returns the numbers of the frames that pass, from a camera with `fps` frames a second."""
    passed = []
    for seq in range(int(fps * seconds)):
        frame = Frame.of(IMAGE, camera=camera, seq=int(start * fps) + seq, captured_at=start + seq / fps)
        if rate_limit.due(frame):
            rate_limit.passed(frame)
            passed.append(seq)
    return passed


def test_runs_on_each_frame_by_default() -> None:
    assert taken(RateLimit.of(PluginConfig()), fps=25, seconds=1) == list(range(25))


def test_every_third_frame() -> None:
    assert taken(RateLimit.of(PluginConfig(every=3)), fps=10, seconds=1) == [0, 3, 6, 9]


@pytest.mark.parametrize(("camera_fps", "max_fps"), [(25, 10), (30, 7), (10, 25), (25, 25), (59.94, 12)])
def test_the_mean_rate_is_max_fps_or_the_cameras_own_where_that_is_lower(camera_fps: float, max_fps: float) -> None:
    count = len(taken(RateLimit.of(PluginConfig(max_fps=max_fps)), camera_fps, seconds=100))
    assert count / 100 == pytest.approx(min(camera_fps, max_fps), rel=0.03)


def test_does_not_catch_up_after_a_pause() -> None:
    rate_limit = RateLimit.of(PluginConfig(max_fps=5))
    taken(rate_limit, fps=25, seconds=1)
    assert len(taken(rate_limit, fps=25, seconds=0.4, start=2000.0)) <= 3


def test_cameras_do_not_share_a_gate() -> None:
    rate_limit = RateLimit.of(PluginConfig(every=5))
    assert taken(rate_limit, 10, 1, camera="a") == taken(rate_limit, 10, 1, camera="b")


def test_forgets_a_camera() -> None:
    rate_limit = RateLimit.of(PluginConfig(every=100))
    taken(rate_limit, 10, 1)
    rate_limit.forget("a")
    assert taken(rate_limit, 10, 1) == [0]
