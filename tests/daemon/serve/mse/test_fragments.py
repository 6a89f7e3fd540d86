"""Fragmented MP4 of a live stream, read again by FFmpeg."""

from __future__ import annotations

import io
from typing import Any

import av
import numpy as np
import pytest

from sightd.daemon.serve.mse.fragments import TICKS, UnplayableError, fragment, header
from tests.daemon.recording.packets import FPS, encoded
from tests.support.barcode import get_bar

pytestmark = pytest.mark.computing

STEP = TICKS // FPS


def muxed(codec: str, frames: int = 5, shift: int = 0) -> bytes:
    packets = encoded(codec, frames)
    pieces = [
        fragment(codec, one.data, number, (number * STEP + shift, number * STEP), STEP, one.key)
        for number, one in enumerate(packets)
    ]
    return header(codec, packets[0].data).init + b"".join(pieces)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_another_demuxer_finds_every_frame_with_its_times(codec: str) -> None:
    with av.open(io.BytesIO(muxed(codec, shift=2 * STEP)), "r") as container:
        video = container.streams.video[0]
        packets: list[av.Packet[Any]] = [one for one in container.demux(video) if one.size]
        frames = [frame for packet in packets for frame in packet.decode()]
        frames += video.codec_context.decode(None)
    ticks = [(one.pts, one.dts, one.duration) for one in packets]
    assert ticks == [(number * STEP + 2 * STEP, number * STEP, STEP) for number in range(5)]
    assert [one.is_keyframe for one in packets] == [True, False, False, False, False]
    bars = [get_bar(frame.to_ndarray(format="gray").astype(np.uint8)) for frame in frames]
    assert [bar and bar.number for bar in bars] == list(range(5))


@pytest.mark.parametrize(("codec", "begins"), [("h264", "avc1.42C0"), ("hevc", "hvc1.1.6.L")])
def test_the_type_names_profile_and_level(codec: str, begins: str) -> None:
    assert header(codec, encoded(codec, 5)[0].data).type.startswith(f'video/mp4; codecs="{begins}')


def test_what_cannot_be_decoded_has_no_header() -> None:
    without_parameters = encoded("h264", 5)[1].data
    for data in (without_parameters, b"", b"\0\0\1\x67", bytes(100)):
        with pytest.raises(UnplayableError):
            header("h264", data)
