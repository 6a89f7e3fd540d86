"""A feed from a real RTSP stream."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import av
import pytest

from sightd.daemon.capture.errors import Reason
from sightd.daemon.capture.reconnect import FeedState
from tests.support.barcode import get_bar
from tests.support.camera import CameraSimulator, Look, need_rtsp_server
from tests.support.clips import corners, quadrants, write_clip, write_film
from tests.support.fault_proxy import FaultProxy
from tests.support.feeds import RunningFeed
from tests.support.waiting import eventually

LIVE = {"tune": "zerolatency", "g": "10", "x264-params": "repeat-headers=1"}
SMALL = Look(size=(640, 360), fps=25)


@pytest.fixture(autouse=True)
def _rtsp_server() -> None:
    need_rtsp_server()


@pytest.fixture
def camera() -> Iterator[CameraSimulator]:
    with CameraSimulator(SMALL) as simulator:
        yield simulator


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_frames_come_whole_in_order_and_fresh(camera: CameraSimulator, transport: str) -> None:
    with RunningFeed(camera.address(), transport=transport) as running:
        frames = running.wait_for(40)
        received = list(running.frames)
    bars = [get_bar(frame.host()) for frame in frames]
    numbers = [bar.number for bar in bars if bar is not None]
    assert len(numbers) == len(frames)
    assert all(later == earlier + 1 for earlier, later in itertools.pairwise(numbers))
    assert [frame.seq for frame in frames] == list(range(len(frames)))
    assert {(frame.width, frame.height) for frame in frames} == {(640, 360)}
    ages = [at - frame.captured_at for at, frame in received]
    assert max(ages) < 0.5
    latencies = sorted(
        frame.captured_at - bar.made_us / 1e6 for frame, bar in zip(frames[15:], bars[15:], strict=False) if bar
    )
    assert 0 < latencies[len(latencies) // 2] < 0.3
    assert running.record.states == [FeedState.LIVE, FeedState.STOPPED]


@pytest.mark.parametrize("codec", ["h264", "h265", "jpeg"])
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_cameras_of_every_usual_codec_are_read_by_gstreamer(
    codec: str, transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        CameraSimulator(Look(size=(640, 360), fps=10, codec=codec)) as camera,
        RunningFeed(camera.address(), transport=transport) as running,
    ):
        running.wait_for(15)
        numbers = [bar.number for bar in running.bars()]
    assert len(numbers) >= 15
    assert all(later == earlier + 1 for earlier, later in itertools.pairwise(numbers))
    assert "FFmpeg" not in caplog.text
    assert running.record.damaged == 0


def test_status_tells_how_the_feed_is_doing(camera: CameraSimulator) -> None:
    with RunningFeed(camera.address()) as running:
        running.wait_for(60)
        status = running.feed.status
    assert (status.state, status.size, status.last_error) == (FeedState.LIVE, (640, 360), None)
    assert status.fps == pytest.approx(25, rel=0.3)
    assert status.last_frame_at is not None


def test_a_killed_camera_comes_back_soon_after_it_is_switched_on_again(camera: CameraSimulator) -> None:
    with RunningFeed(camera.address()) as running:
        before = running.wait_for(10)[-1]
        camera.kill()
        eventually(lambda: running.feed.status.state is FeedState.WAITING, 3.0)
        camera.start()
        after = running.wait_for_more(10, within=0.5 + 2.0)[-1]
    assert after.seq > before.seq
    assert [frame.seq for _, frame in running.frames] == list(range(len(running.frames)))
    assert running.record.losses[0] in (Reason.EOF, Reason.REFUSED)
    assert FeedState.LIVE in running.record.states[2:]


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_frozen_camera_is_found_after_its_timeout_and_taken_up_again(camera: CameraSimulator, transport: str) -> None:
    with RunningFeed(camera.address(), transport=transport) as running:
        running.wait_for(10)
        camera.freeze()
        eventually(lambda: running.record.losses != [], within=2 * 0.8 + 0.5)
        assert running.record.losses[0] is Reason.TIMEOUT
        assert running.feed.status.faults[Reason.TIMEOUT] >= 1
        camera.thaw()
        running.wait_for_more(10, within=6.0)


def test_a_feed_that_is_blocked_by_a_frozen_camera_stops_within_its_timeout(camera: CameraSimulator) -> None:
    with RunningFeed(camera.address()) as running:
        running.wait_for(10)
        camera.freeze()
        given = len(running.frames)
        assert running.feed.stop(deadline=2 * 0.8 + 0.5)
    assert len(running.frames) <= given + 2


def test_a_camera_that_sends_a_message_byte_by_byte_does_not_hold_its_feed(camera: CameraSimulator) -> None:
    with FaultProxy(camera.port) as proxy, RunningFeed(f"rtsp://127.0.0.1:{proxy.port}/cam0") as running:
        running.wait_for(5)
        proxy.trickle()
        eventually(lambda: running.record.losses != [], within=0.8 + 2.0)
        assert running.record.losses == [Reason.TIMEOUT]
        assert running.feed.stop(deadline=2.0)


def test_a_camera_may_take_longer_to_open_than_it_may_be_silent(camera: CameraSimulator) -> None:
    with FaultProxy(camera.port) as proxy:
        proxy.hold_answers()
        with RunningFeed(f"rtsp://127.0.0.1:{proxy.port}/cam0", timeout="200ms", open_timeout="30s") as running:
            eventually(lambda: proxy.held == 1)
            asked = time.monotonic()
            eventually(lambda: time.monotonic() - asked > 5 * 0.2)
            proxy.release_answers()
            running.wait_for(1)
            assert running.record.states[0] is FeedState.LIVE, "the first attempt succeeded"


def test_eight_slow_cameras_open_at_once() -> None:
    with CameraSimulator(SMALL, mounts=8) as cameras, FaultProxy(cameras.port) as proxy, ExitStack() as feeds:
        proxy.hold_answers()
        running = [
            feeds.enter_context(RunningFeed(f"rtsp://127.0.0.1:{proxy.port}/cam{n}", open_timeout="30s"))
            for n in range(8)
        ]
        eventually(lambda: proxy.held == 8)
        proxy.release_answers()
        for one in running:
            one.wait_for(1)
        assert [one.record.states[0] for one in running] == [FeedState.LIVE] * 8, "each at its first attempt"


def test_a_change_of_size_is_just_a_frame_of_another_size(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("clips")
    small = write_clip(folder / "small.mp4", size=(320, 240), frames=25)
    large = write_clip(folder / "large.mp4", size=(640, 480), frames=25)
    with (
        CameraSimulator(Look(files=[small, large])) as camera,
        RunningFeed(camera.address(), timeout="3s") as running,  # its key frames, which viewers wait for, are rare
    ):
        eventually(lambda: len(running.size_changes()) >= 2, 10.0)
        frames = [frame for _, frame in running.frames]
    assert {(320, 240), (640, 480)} <= {(frame.width, frame.height) for frame in frames}
    assert all(frame.host().shape == (frame.height, frame.width, 3) for frame in frames)
    assert len(running.size_changes()) > len(running.record.losses), "a change of size is no loss of the camera"


def test_damaged_pictures_are_held_back_and_counted() -> None:
    with (
        CameraSimulator(Look(size=(640, 360), fps=50, corruption=0.05)) as camera,
        RunningFeed(camera.address()) as running,
    ):
        eventually(lambda: running.record.damaged > 20, 15.0)
        frames = running.wait_for_more(20)
        readable = running.bars()
    assert len(readable) >= 0.95 * len(frames)
    assert running.feed.status.damaged == running.record.damaged
    assert running.record.losses == []


def test_the_right_password_opens_whatever_signs_it_has() -> None:
    with (
        CameraSimulator(SMALL, user="viewer", password="p@ss/w#rd") as camera,
        RunningFeed(camera.address()) as running,
    ):
        running.wait_for(3)


def test_a_wrong_password_is_named_as_the_reason_and_shown_nowhere(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG")
    with (
        CameraSimulator(SMALL, user="viewer", password="right") as camera,
        RunningFeed(camera.address(password="hunter2")) as running,
    ):
        eventually(lambda: Reason.UNAUTHORISED in running.record.losses, 5.0)
        status = running.feed.status
    assert status.last_error is not None
    assert "password" in status.last_error
    said = caplog.text + "".join(capfd.readouterr()) + str(status) + repr(running.feed.source)
    assert "hunter2" not in said
    assert "127.0.0.1" in said


def test_a_path_that_the_camera_does_not_have_is_not_found(camera: CameraSimulator) -> None:
    with RunningFeed(camera.address(mount=7)) as running:
        eventually(lambda: Reason.NOT_FOUND in running.record.losses, 5.0)


def test_a_camera_of_oblong_pixels_is_shown_with_square_ones(tmp_path: Path) -> None:
    """The aspect ratio is in the stream's SPS only; there is no container to state it."""
    film = write_film(tmp_path / "pal.mp4", [quadrants(360, 288)] * 25, fps=25, aspect=Fraction(64, 45), options=LIVE)
    with CameraSimulator(Look(files=[film])) as camera, RunningFeed(camera.address()) as running:
        frame = running.wait_for(5)[-1]
    assert (frame.width, frame.height) == (512, 288)
    assert frame.host().shape == (288, 512, 3)
    assert corners(frame.host()) == [0, 1, 2, 3]


def test_a_camera_that_is_mounted_on_its_side_and_says_so_is_shown_upright(tmp_path: Path) -> None:
    """The orientation is in an SEI message of one frame in ten, and applies to the frames after it."""
    film = turned_by_sei(write_film(tmp_path / "a.mp4", [quadrants(96, 64)] * 25, fps=25, options=LIVE))
    with CameraSimulator(Look(files=[film])) as camera, RunningFeed(camera.address()) as running:
        frames = running.wait_for(45)[-20:]  # the first message may have come before it connected
    assert {(frame.width, frame.height) for frame in frames} == {(64, 96)}
    assert [corners(frame.host()) for frame in frames] == [[2, 0, 3, 1]] * len(frames)


def turned_by_sei(film: Path) -> Path:
    """Returns the video with SEI messages to rotate it clockwise, one with each key frame."""
    path = film.with_name("turned.ts")
    with av.open(str(film)) as source, av.open(str(path), "w") as target:
        video = source.streams.video[0]
        stream = target.add_stream_from_template(video)
        turning = av.BitStreamFilterContext(
            "h264_mp4toannexb,h264_metadata=display_orientation=insert:rotate=270", video
        )
        for packet in source.demux(video):
            for turned in turning.filter(packet if packet.size else None):
                turned.stream = stream
                target.mux(turned)
    return path
