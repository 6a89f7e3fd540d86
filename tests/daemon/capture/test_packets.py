"""Received packets: each key frame can be played without what came before it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightd.daemon.capture.audio import AudioFormat
from sightd.daemon.capture.packets import KeyFrames, ReceivedPacket, parameter_sets
from tests.support.clips import write_clip
from tests.support.feeds import RunningFeed

_START = b"\0\0\0\1"
_SETS = _START + b"\x67abc" + _START + b"\x68de"
_IMAGE = b"\0\0\1\x65image"


def test_parameter_sets_are_found_before_the_image_only() -> None:
    assert parameter_sets("h264", _SETS + _IMAGE + b"\0\0\1\x67no") == _SETS
    assert parameter_sets("h264", _START + b"\x41image") == b""
    assert parameter_sets("h264", _SETS + _SETS + _IMAGE) == _SETS  # as GStreamer begins a stream
    assert parameter_sets("hevc", _START + b"\x40\x01v" + _START + b"\x26\x01image") == _START + b"\x40\x01v"


def test_damaged_units_have_the_parameter_sets_that_can_be_found() -> None:
    assert parameter_sets("h264", b"") == b""
    assert parameter_sets("h264", b"no start code") == b""
    assert parameter_sets("h264", _SETS + b"\0\0\1") == _SETS
    assert parameter_sets("hevc", b"\0\0\1" * 3 + b"\x40\x01v\0\0\0") == _START + b"\x40\x01v"


def test_a_key_frame_gets_the_parameter_sets_that_came_last() -> None:
    frames = KeyFrames("h264", None)
    assert frames.complete(_IMAGE) == _IMAGE
    assert frames.complete(_SETS + _IMAGE) == _SETS + _IMAGE
    assert frames.complete(_IMAGE) == _SETS + _IMAGE


def test_a_key_frame_gets_the_parameter_sets_of_the_description() -> None:
    assert KeyFrames("h264", _SETS).complete(_IMAGE) == _SETS + _IMAGE
    assert KeyFrames("h264", b"\x01avcc").complete(_IMAGE) == _IMAGE


class Kept:
    def __init__(self, *, wants_audio: bool = False) -> None:
        self.wants_audio = wants_audio
        self.audio: AudioFormat | None = None
        self.codecs: list[str] = []
        self.packets: list[ReceivedPacket] = []
        self.closed = 0

    def stream_opened(self, codec: str, audio: AudioFormat | None) -> None:
        self.codecs.append(codec)
        self.audio = audio

    def packet_received(self, packet: ReceivedPacket) -> None:
        self.packets.append(packet)

    def stream_closed(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("suffix", ["mp4", "ts", "mkv"])
def test_an_observer_gets_every_packet_of_a_file_in_annex_b(tmp_path: Path, suffix: str) -> None:
    kept = Kept()
    film = write_clip(tmp_path / f"film.{suffix}", size=(320, 240), frames=50)
    with RunningFeed(str(film), packets=kept, loop=False) as feed:
        feed.wait_for(50)
    assert kept.codecs == ["h264"]
    assert kept.closed == 1
    assert len(kept.packets) == 50
    assert [number for number, one in enumerate(kept.packets) if one.key] == [0, 25]
    assert all(one.data.startswith((_START, _START[1:])) for one in kept.packets)
    assert all(parameter_sets("h264", one.data) for one in kept.packets if one.key)
    times = [one.pts for one in kept.packets if one.pts is not None]
    assert len(times) == 50
    assert times[-1] - times[0] == pytest.approx(49 / 25)
