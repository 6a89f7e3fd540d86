"""A camera's output shows each frame, reports what it cannot show, and never stalls."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from sightd.daemon.capture.reasons import Reason
from sightd.daemon.capture.slot import FrameSlot
from sightd.daemon.config.model import Output, Render
from sightd.daemon.encode.choice import CodecChoice
from sightd.daemon.encode.codecs import EncoderError
from sightd.daemon.encode.encoder import H264Encoder, Packet
from sightd.daemon.metrics.registry import Metrics
from sightd.daemon.pipeline.camera_pipeline import CameraPipeline
from sightd.daemon.pipeline.output import FAULT_REMEMBERED, CameraOutput
from sightd.daemon.pipeline.publisher import Publisher
from sightd.daemon.render.renderer import Renderer
from sightd.daemon.serve.jpeg_stream import JpegStream
from sightd.plugins.api import Frame, Image, Results
from tests.support.waiting import eventually

SIZE = (64, 48)


class Player:
    """Records what an RTSP stream gets; replaces `RtspStream`."""

    wanted = True
    clients = 1
    skipped = 0

    def __init__(self) -> None:
        self.packets: list[Packet] = []
        self.asks_for_keyframe = False

    def take_keyframe_request(self) -> bool:
        asked, self.asks_for_keyframe = self.asks_for_keyframe, False
        return asked

    def push(self, packet: Packet) -> bool:
        self.packets.append(packet)
        return True


class Bench:
    """An output with a player and a JPEG viewer, on a manual clock."""

    def __init__(
        self, player: Player | None = None, longest_interval: float = 5.0, recording: Player | None = None
    ) -> None:
        self.now = 100.0
        self.told: list[object] = []
        self.reason = Reason.SILENT
        self.metrics = Metrics(CollectorRegistry(), "0", [])
        self.camera = self.metrics.camera("a")
        self.slot, self.jpeg = FrameSlot(), JpegStream(1000.0, clock=lambda: self.now)
        self.output = CameraOutput(
            "a",
            "A",
            self.slot,
            CameraPipeline("a", []),
            Renderer("A", Render()),
            Publisher(
                Output(),
                CodecChoice("a", "x264"),
                player,
                self.jpeg,
                self.camera,
                self.metrics.stages,
                recording=recording,
            ),
            self.camera,
            self.metrics.stages,
            self,
            clock=lambda: self.now,
            longest_interval=longest_interval,
        )

    def lost(self, why: str | None, last_picture: float | None, ago: float) -> None:
        self.told.append((why, round(ago, 3)))

    def found(self) -> None:
        self.told.append("found")

    def failed(self) -> float:
        value = self.metrics.registry.get_sample_value(
            "sightd_frames_dropped_total", {"camera": "a", "stage": "output", "reason": "failed"}
        )
        assert value is not None
        return value

    def frame(self, after: float, size: tuple[int, int] = SIZE) -> None:
        """Shows a frame that comes `after` s after the last one."""
        self.now += after
        self.output._turn(picture(self.now, size))

    def wait(self, seconds: float) -> None:
        """Lets `seconds` s pass without a frame."""
        self.now += seconds
        self.output._nothing_came()


@pytest.fixture
def player() -> Player:
    return Player()


@pytest.fixture
def running(player: Player) -> Iterator[Bench]:
    bench = Bench(player)
    bench.output.start()
    yield bench
    assert bench.output.stop(5.0)


def picture(at: float = 0.0, size: tuple[int, int] = SIZE) -> Frame:
    return Frame.of(np.full((size[1], size[0], 3), 90, np.uint8), camera="a", captured_at=at)


def undecodable(at: float = 0.0) -> Frame:
    def decode() -> Image:
        raise ValueError("no picture of rtsp://me:hunter2@camera/1 in it")

    return Frame("a", 0, SIZE, decode, captured_at=at, wall_time=0.0)


def test_a_frame_that_cannot_be_shown_is_counted_and_reported_and_the_next_is_shown(
    running: Bench, player: Player, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        before = running.failed()
        running.slot.put(undecodable())
        eventually(lambda before=before: running.failed() == before + 1)  # type: ignore[misc]
    assert running.output.fault is not None
    assert "ValueError" in running.output.fault
    assert "hunter2" not in running.output.fault
    assert caplog.text.count("trying the next frame") == 1, "logged once, not for every frame"
    running.slot.put(picture(1.0))
    eventually(lambda: len(player.packets) == 1)
    running.now += FAULT_REMEMBERED
    assert running.output.fault is None


def test_where_faces_are_hidden_a_frame_without_an_answer_is_hidden_whole() -> None:
    """Whatever went wrong before: of an image of noise only a mosaic of its mean colours is left."""
    bench, shown = Bench(), list[Image]()
    noise = np.random.default_rng(0).integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)
    bench.output._pipeline.redacts = True
    bench.output._publisher.publish = lambda image, *_: shown.append(image.copy())  # type: ignore[method-assign]
    bench.output._show(Frame.of(noise, camera="a"), Results())
    (image,) = shown
    assert len(np.unique(image[20:44, 20:44].reshape(-1, 3), axis=0)) <= 16
    assert len(np.unique(noise[20:44, 20:44].reshape(-1, 3), axis=0)) > 500


def test_what_cannot_be_encoded_for_a_recording_is_reported_without_a_viewer(monkeypatch: pytest.MonkeyPatch) -> None:
    recording = Player()
    bench = Bench(recording=recording)

    def fails(*_: object) -> list[Packet]:
        raise EncoderError("libx264 rejected a frame")

    bench.output.start()
    with monkeypatch.context() as broken:
        broken.setattr(H264Encoder, "encode", fails)
        bench.slot.put(picture(1.0))
        eventually(lambda: bench.failed() == 1)
    assert "libx264 rejected a frame" in str(bench.output.fault)
    bench.slot.put(picture(2.0))
    eventually(lambda: len(recording.packets) == 1)
    assert recording.packets[0].keyframe
    assert bench.output.stop(5.0)


def test_an_encoder_that_fails_is_replaced(running: Bench, player: Player, monkeypatch: pytest.MonkeyPatch) -> None:
    running.slot.put(picture(1.0))
    eventually(lambda: len(player.packets) == 1)
    with monkeypatch.context() as broken:

        def fails(*_: object) -> list[Packet]:
            raise EncoderError("libx264 rejected a frame")

        broken.setattr(H264Encoder, "encode", fails)
        running.slot.put(picture(2.0))
        eventually(lambda: running.failed() == 1)
    running.slot.put(picture(3.0))
    eventually(lambda: len(player.packets) == 2)
    assert player.packets[-1].keyframe, "viewers can go on from the new encoder's first picture"


def test_viewers_are_not_left_with_a_picture_that_stands_still(running: Bench, player: Player) -> None:
    running.slot.put(picture(1.0))
    eventually(lambda: len(player.packets) == 1)
    running.slot.put(undecodable())
    eventually(lambda: running.failed() == 1)
    assert not running.output.slate_active, "one picture that fails is no outage"
    running.now += 1.5
    running.slot.put(undecodable())
    eventually(lambda: running.failed() == 2)
    eventually(lambda: running.output.slate_active and len(player.packets) == 2)
    running.slot.put(picture(3.0))
    eventually(lambda: not running.output.slate_active)


def test_a_viewer_who_comes_later_gets_a_key_frame_at_once(player: Player) -> None:
    bench = Bench(player)
    for _ in range(2):
        bench.frame(0.04)
    player.asks_for_keyframe = True
    for _ in range(2):
        bench.frame(0.04)
    assert [packet.keyframe for packet in player.packets] == [True, False, True, False]


def test_one_that_never_began_can_be_asked_and_stopped() -> None:
    output = Bench().output
    assert output.progress_at == 100.0
    assert output.stop(1.0)


def test_turns_to_the_slate_when_nothing_comes_and_back_with_the_first_frame() -> None:
    bench = Bench()
    bench.frame(0.04)
    bench.wait(1.2)
    assert not bench.output.slate_active
    bench.wait(0.2)
    assert bench.output.slate_active
    bench.wait(0.2)
    bench.frame(60.0)
    assert not bench.output.slate_active
    assert bench.told == ["found", (None, 1.4), "found"], "once each, with the age of the last picture"


def test_an_outage_that_ends_before_the_slate_comes_is_not_reported() -> None:
    bench = Bench()
    for _ in range(10):
        bench.frame(1.2)
        bench.wait(0.05)
    assert bench.told == ["found"]


def test_a_camera_that_was_never_reached_is_not_said_to_be_connecting_forever() -> None:
    bench = Bench(Player())
    bench.wait(1.6)
    connecting = bench.output._slate
    bench.wait(0.1)
    assert bench.output._slate is connecting
    bench.output.camera_lost(wall_time=1000.0)
    bench.wait(0.1)
    unreached = bench.output._slate
    assert connecting is not None
    assert unreached is not None
    assert (connecting != unreached).any(), "the slate says since when"
    assert str(bench.output._slate_shows).startswith("no picture since ")
    bench.reason = Reason.UNAUTHORISED
    bench.wait(0.1)
    assert str(bench.output._slate_shows).startswith("login refused since ")
    assert bench.output._slate is not unreached


def test_frames_that_nobody_watches_are_counted_apart() -> None:
    bench = Bench()
    for _ in range(3):
        bench.frame(0.04)
    count = bench.metrics.registry.get_sample_value("sightd_frames_total", {"camera": "a", "stage": "unwatched"})
    assert count == 3


def test_an_outage_says_nothing_of_the_cameras_rate() -> None:
    bench = Bench()
    for _ in range(50):
        bench.frame(0.04)
    bench.frame(600.0)
    assert bench.output._fps == pytest.approx(25)


def test_a_camera_slower_than_the_slate_is_not_called_offline_between_its_frames() -> None:
    bench = Bench()
    for _ in range(4):
        bench.frame(2.0)
    bench.wait(1.9)
    assert not bench.output.slate_active
    bench.wait(3.0)
    assert bench.output.slate_active


def test_a_camera_of_one_picture_a_minute_is_not_called_offline_within_its_timeout(player: Player) -> None:
    bench = Bench(player, longest_interval=90.0)
    for _ in range(3):
        bench.frame(5.0)
        shown = len(player.packets)
        for _ in range(5):
            bench.wait(11.0)
            assert not bench.output.slate_active
        assert len(player.packets) == shown + 5, "viewers who get nothing for so long would go"
    bench.wait(36.0)
    assert bench.output.slate_active
    assert bench.told == ["found", (None, 91.0)]


def test_a_viewer_of_a_slow_camera_who_comes_between_two_pictures_sees_the_last(player: Player) -> None:
    bench = Bench(player, longest_interval=90.0)
    player.wanted = False
    bench.frame(0.1)
    bench.frame(60.0)
    player.wanted = True
    bench.wait(20.0)
    assert player.packets
    assert not bench.output.slate_active


def test_nothing_of_a_frame_whose_drawing_failed_is_shown_between_two_frames(
    player: Player, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The drawing failed before the redaction was applied."""
    bench = Bench(player, longest_interval=90.0)
    bench.frame(5.0)
    bench.frame(5.0)
    bright = Frame.of(np.full((48, 64, 3), 250, np.uint8), camera="a", captured_at=bench.now)
    with monkeypatch.context() as broken:
        broken.setattr(bench.output._renderer._overlay, "draw", Mock(side_effect=EncoderError("broken")))
        with pytest.raises(EncoderError):
            bench.output._turn(bright)
    published: list[Image] = []
    monkeypatch.setattr(bench.output._publisher, "publish", lambda image, *_: published.append(image.copy()))
    bench.wait(11.0)
    assert np.median(published[-1]) == 90


def test_a_usual_camera_turns_to_the_slate_as_soon_whatever_its_timeout() -> None:
    bench = Bench(longest_interval=90.0)
    for _ in range(3):
        bench.frame(0.04)
    bench.wait(1.4)
    assert bench.output.slate_active


def test_the_slate_has_the_size_of_the_picture_also_where_nobody_saw_that() -> None:
    bench = Bench()
    bench.frame(0.04, size=(320, 480))

    async def still() -> bytes:
        asked = asyncio.ensure_future(bench.jpeg.newest())
        await asyncio.sleep(0)
        bench.wait(5.0)
        found = await asked
        assert found is not None
        return found.data

    image = cv2.imdecode(np.frombuffer(asyncio.run(still()), np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape == (480, 320, 3)
