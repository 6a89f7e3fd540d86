"""The two views of a camera's video that browsers get."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from sightd.daemon.capture.packets import ReceivedPacket
from sightd.daemon.encode.encoder import Packet
from sightd.daemon.serve.live_video import AnnotatedVideo, CameraVideo, CleanVideo, is_bidirectional

pytestmark = pytest.mark.computing


class Receiver:
    """Remembers what it was called with."""

    def __init__(self) -> None:
        self.packets: list[ReceivedPacket] = []
        self.calls: list[str] = []

    def receive(self, packet: ReceivedPacket) -> None:
        self.packets.append(packet)

    def restart(self) -> None:
        self.calls.append("restart")

    def end(self) -> None:
        self.calls.append("end")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def received(at: float, *, key: bool = False, pts: float | None = None, data: bytes = b"x") -> ReceivedPacket:
    return ReceivedPacket(data, pts, None, key, at)


def film(*, b_frames: bool) -> Iterator[av.Packet[Any]]:
    codec = av.CodecContext.create("libx264", "w")
    assert isinstance(codec, av.VideoCodecContext)
    codec.width, codec.height, codec.pix_fmt = 64, 64, "yuv420p"
    codec.framerate, codec.time_base = Fraction(25), Fraction(1, 25)
    codec.max_b_frames, codec.options = 2 if b_frames else 0, {"x264-params": "b-adapt=0:scenecut=0"}
    rng = np.random.default_rng(1)
    for number in range(12):
        image = av.VideoFrame.from_ndarray(rng.integers(0, 255, (64, 64, 3), np.uint8), format="bgr24")
        image.pts = number
        yield from codec.encode(image)
    yield from codec.encode(None)


def test_the_encoder_runs_only_while_somebody_receives() -> None:
    video, receiver = AnnotatedVideo(), Receiver()
    assert not video.wanted
    assert video.add(receiver) == ()
    assert video.wanted
    assert video.push(Packet(b"key", 5.0, True))
    assert [(one.data, one.pts, one.key) for one in receiver.packets] == [(b"key", 5.0, True)]
    video.remove(receiver)
    assert not video.wanted
    assert not video.push(Packet(b"next", 5.1, False))


def test_a_receiver_who_joins_gets_a_key_frame_and_many_who_join_share_one() -> None:
    clock = Clock()
    video = AnnotatedVideo(clock)
    video.add(Receiver())
    assert video.take_keyframe_request()
    for _ in range(5):
        video.request_keyframe()
    assert not video.take_keyframe_request(), "the last one was just now"
    clock.now += 0.3
    assert video.take_keyframe_request()
    clock.now += 0.3
    assert not video.take_keyframe_request()


def test_times_never_go_back_after_the_slate() -> None:
    video, receiver = AnnotatedVideo(), Receiver()
    video.add(receiver)
    for at in (5.0, 6.0, 5.5, 6.5):
        video.push(Packet(b"x", at, False))
    assert [one.pts for one in receiver.packets] == [5.0, 6.0, 6.0, 6.5]


def test_a_late_receiver_of_the_clean_view_begins_with_the_last_key_frame() -> None:
    video = CleanVideo()
    video.stream_opened("h264")
    for number, key in enumerate([False, True, False, True, False, False]):
        video.packet_received(received(10 + number / 25, key=key, data=bytes([number])))
    backlog = video.add(Receiver())
    assert [one.data for one in backlog] == [b"\3", b"\4", b"\5"]


def test_a_group_that_is_too_large_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightd.daemon.serve.live_video._MOST_GROUP", 100)
    video = CleanVideo()
    video.stream_opened("h264")
    video.packet_received(received(1, key=True, data=bytes(60)))
    video.packet_received(received(2, data=bytes(60)))
    assert video.add(Receiver()) == ()


def test_times_are_even_as_the_cameras_and_never_in_the_future() -> None:
    video, receiver = CleanVideo(), Receiver()
    video.stream_opened("h264")
    video.add(receiver)
    for at, pts in ((10.05, 0.0), (10.09, 0.04), (10.10, 0.08), (10.20, 0.12)):
        video.packet_received(received(at, pts=pts))
    times = [one.pts for one in receiver.packets]
    assert times == pytest.approx([10.05, 10.09, 10.10, 10.14])
    assert all(one.pts is not None and one.pts <= one.received_at + 1e-9 for one in receiver.packets)


def test_a_new_connection_does_not_continue_the_last() -> None:
    video, receiver = CleanVideo(), Receiver()
    video.stream_opened("h264")
    video.add(receiver)
    video.packet_received(received(1, key=True))
    video.stream_closed()
    assert (video.codec, receiver.calls) == (None, ["restart"])
    assert video.add(Receiver()) == ()
    video.stream_opened("hevc")
    assert (video.codec, video.reordered) == ("hevc", False)


def test_b_frames_are_found_in_the_packets() -> None:
    assert [is_bidirectional(bytes(packet)) for packet in film(b_frames=False)] == [False] * 12
    packets = list(film(b_frames=True))
    assert sum(is_bidirectional(bytes(packet)) for packet in packets) == 7
    video = CleanVideo()
    video.stream_opened("h264")
    for packet in packets:
        video.packet_received(received(1, key=packet.is_keyframe, data=bytes(packet)))
    assert video.reordered
    assert not is_bidirectional(b"\0\0\1\x41") | is_bidirectional(b"") | is_bidirectional(b"\0\0\1\x41\0\0\0\0")


def test_audio_and_other_codecs_are_not_passed_on() -> None:
    video, receiver = CleanVideo(), Receiver()
    video.add(receiver)
    video.stream_opened("mjpeg")
    video.packet_received(received(1, key=True))
    video.stream_opened("h264")
    video.packet_received(ReceivedPacket(b"a", 1.0, None, False, 1.0, audio=True))
    assert receiver.packets == []


def test_a_chain_that_comes_to_redact_disconnects_the_clean_view_only() -> None:
    video, clean, annotated = CameraVideo(), Receiver(), Receiver()
    video.clean.add(clean)
    video.annotated.add(annotated)
    video.restrict(redacted=False, allowed=False)
    assert clean.calls == ["end"], "what is not allowed is not shown, should the chain redact from now on"
    video.clean.add(clean)
    video.restrict(redacted=True, allowed=False)
    assert (clean.calls, annotated.calls) == (["end", "end"], [])


def test_a_camera_that_is_removed_ends_both_views_also_for_those_who_come_later() -> None:
    video, early, late = CameraVideo(), Receiver(), Receiver()
    video.annotated.add(early)
    video.end()
    video.annotated.add(late)
    assert (early.calls, late.calls) == (["end"], ["end"])
    assert not video.annotated.wanted


def test_viewers_are_counted_by_protocol_and_for_both_views() -> None:
    video = CameraVideo()
    video.annotated.joined("webrtc")
    video.clean.joined("webrtc")
    video.clean.joined("mse")
    video.clean.joined("mse", -1)
    assert (video.viewers("webrtc"), video.viewers("mse")) == (2, 0)
