"""The counters of a feed."""

from __future__ import annotations

import pytest

from sightd.daemon.capture.errors import Reason
from sightd.daemon.capture.reconnect import FeedState
from sightd.daemon.capture.status import FeedStats, FrameRate


def rate_after(*times: float) -> FrameRate:
    rate = FrameRate()
    for time in times:
        rate.add(time)
    return rate


@pytest.mark.parametrize("fps", [1.0, 25.0, 60.0])
@pytest.mark.parametrize("seconds", [3, 20])
def test_a_steady_camera_has_its_rate(fps: float, seconds: int) -> None:
    rate = rate_after(*(100 + number / fps for number in range(int(seconds * fps) + 1)))
    assert rate.at(100 + seconds + 0.5 / fps) == pytest.approx(fps, rel=0.1)


def test_before_the_second_frame_there_is_no_rate() -> None:
    assert FrameRate().at(1.0) == 0.0
    assert rate_after(1.0).at(1.5) == 0.0


def test_the_rate_falls_when_frames_stay_away() -> None:
    rate = rate_after(*(number / 25 for number in range(100)))
    assert rate.at(4.0) > 20
    assert rate.at(24.0) < 0.01


def test_after_a_pause_the_rate_starts_over() -> None:
    rate = rate_after(*(number / 25 for number in range(100)), *(60 + number / 10 for number in range(21)))
    assert rate.at(62.05) == pytest.approx(10, rel=0.1)


def test_a_camera_of_a_picture_a_minute_has_that_rate_until_it_stays_away() -> None:
    rate = rate_after(60.0, 120.0, 180.0)
    assert rate.at(239.0) == pytest.approx(1 / 60)
    assert rate.at(301.0) == 0.0


def test_a_snapshot_holds_what_was_counted() -> None:
    stats = FeedStats(now=1.0)
    assert stats.enter(FeedState.LIVE, 2.0) is True
    assert stats.enter(FeedState.LIVE, 2.0) is False
    assert stats.frame(3.0, 1000.0, (640, 360)) is False
    assert stats.frame(3.1, 1000.1, (640, 480)) is True
    stats.damage()
    stats.fault(Reason.EOF, "ended")
    status = stats.snapshot(3.1)
    assert (status.state, status.since, status.last_frame_at, status.last_frame_wall) == (
        FeedState.LIVE,
        2.0,
        3.1,
        1000.1,
    )
    assert (status.size, status.frames, status.damaged) == ((640, 480), 2, 1)
    assert (status.faults, status.last_error) == ({Reason.EOF: 1}, "ended")
