"""A camera behind a network that is slower than its stream."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest

from sightd.daemon.capture import lateness
from sightd.daemon.capture.errors import Reason
from tests.support.barcode import get_bar
from tests.support.camera import CameraSimulator, Look, need_rtsp_server
from tests.support.fault_proxy import FaultProxy
from tests.support.feeds import RunningFeed
from tests.support.odd_camera import FPS, OddCamera, Packets
from tests.support.waiting import eventually

SLOW = 14_000
"""Bytes per second of the slow network; the stream has some 50,000."""


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    need_rtsp_server()
    with CameraSimulator(Look(size=(640, 360))) as camera, FaultProxy(camera.port) as proxy:
        yield proxy


def test_a_late_stream_is_reported_with_its_true_age_and_fresh_soon_after_the_network_is(proxy: FaultProxy) -> None:
    with RunningFeed(f"rtsp://127.0.0.1:{proxy.port}/cam0", timeout="10s") as running:
        running.wait_for(50)
        assert running.feed.status.late_since is None
        proxy.throttle(SLOW)
        eventually(lambda: running.feed.status.late_since is not None, 30.0, f"late: {running.feed.status}")
        eventually(lambda: running.record.ages[-1] > 2.5, 20.0)
        proxy.heal()
        eventually(lambda: running.feed.status.late_since is None, 15.0, f"on time: {running.feed.status}")
        running.wait_for_more(10)
        frames = list(running.frames)
        status = running.feed.status
    bars = [(at, get_bar(frame.host())) for at, frame in frames[-10:]]
    assert status.age is not None
    assert status.age < 1.5
    assert min(at - bar.made_us / 1e6 for at, bar in bars if bar) < 0.5, "pictures are fresh again"
    assert running.record.losses == [], "it caught up on the same connection"


def test_the_age_is_the_time_since_the_picture_was_made(proxy: FaultProxy) -> None:
    with RunningFeed(f"rtsp://127.0.0.1:{proxy.port}/cam0", timeout="10s", late_after=0) as running:
        running.wait_for(50)
        proxy.throttle(SLOW)
        eventually(lambda: running.record.ages[-1] > 1.5, 30.0)
        proxy.heal()
        received = [frame for _, frame in running.frames if frame.pts is not None]
        ages = running.record.ages[: len(received)]  # the same number, because nothing is skipped if `late_after` is 0
    bars = [get_bar(frame.host()) for frame in received]
    wrong_by = [
        abs(age - (frame.captured_at - bar.made_us / 1e6))
        for age, frame, bar in zip(ages, received, bars, strict=True)
        if bar is not None
    ]
    assert max(ages) > 1.5
    assert np.quantile(wrong_by, 0.9) < 0.3, "a busy machine may hold up a few"
    assert set(running.record.late) == {False}


def test_the_age_is_true_if_the_network_was_slow_from_the_beginning(proxy: FaultProxy) -> None:
    """The first frame, a key frame, takes longer than the timeout: the stream is late, not silent."""
    proxy.throttle(7_000)
    with RunningFeed(f"rtsp://127.0.0.1:{proxy.port}/cam0", timeout="1s", late_after=0) as running:
        eventually(lambda: len(running.record.ages) > 10, 30.0)
        received = [frame for _, frame in running.frames if frame.pts is not None]
        ages = running.record.ages[: len(received)]
    bars = [get_bar(frame.host()) for frame in received]
    true = [frame.captured_at - bar.made_us / 1e6 for frame, bar in zip(received, bars, strict=True) if bar is not None]
    assert running.record.losses == []
    assert true[0] > 1.2
    assert ages[: len(true)] == pytest.approx(true, abs=0.4)


def test_a_stream_that_stays_late_is_opened_again(proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lateness, "_PATIENCE", 2.0)
    with RunningFeed(f"rtsp://127.0.0.1:{proxy.port}/cam0", timeout="10s", late_after="500ms") as running:
        running.wait_for(25)
        proxy.throttle(SLOW)
        eventually(lambda: Reason.LATE in running.record.losses, 60.0, f"opened again: {running.feed.status}")
        error = running.feed.status.last_error
        proxy.heal()
        eventually(lambda: running.feed.status.late_since is None and running.record.ages[-1] < 0.3, 30.0)
    assert "s late" in (error or "")


def test_ten_seconds_of_backlog_that_come_at_once_are_behind_within_three() -> None:
    """Every frame is decoded because later ones depend on it, but few are shown."""
    need_rtsp_server()
    held: Packets = []
    released: list[float] = []
    first, live = FPS, 11 * FPS

    def in_a_burst(number: int, packets: Packets) -> Packets:
        if not first <= number <= live:
            return packets
        held.extend(packets)
        if number < live:
            return []
        released.append(time.monotonic())
        return held

    with (
        OddCamera(deliver=in_a_burst, sizes=[(640, 360)]) as camera,
        RunningFeed(camera.address(), timeout="30s") as running,
    ):
        eventually(lambda: released != [], 30.0)
        eventually(lambda: any((frame.pts or 0) * FPS > live for _, frame in list(running.frames)), 3.0)
        shown = [round(frame.pts * FPS) for _, frame in running.frames if frame.pts is not None]
        assert running.record.losses == []
    assert running.record.skipped > 0.7 * (live - first)
    assert len([number for number in shown if first <= number < live]) < 0.3 * (live - first)
