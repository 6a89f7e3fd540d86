"""What an SDP description says to the decoder, and which access units can be decoded by themselves."""

from __future__ import annotations

import base64
from fractions import Fraction

import av
import pytest

from sightd.daemon.capture.rtsp_dialogue import CODECS, is_key, stated_configuration
from tests.support.clips import Scene


def encoded(codec: str, options: dict[str, str]) -> list[tuple[bool, bytes]]:
    """Returns twelve frames in Annex B format: whether each is a key frame, and its access unit."""
    encoder = av.CodecContext.create(codec, "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 320, 96, "yuv420p", Fraction(1, 25)
    encoder.gop_size, encoder.options = 5, options
    scene = Scene(320, 96)
    found = []
    for number in range(12):
        frame = scene.frame(number)
        frame.pts = number
        found += encoder.encode(frame)
    found += encoder.encode(None)
    return [(packet.is_keyframe, bytes(packet)) for packet in found]


@pytest.mark.parametrize(
    ("encoder", "options", "decoder"),
    [
        ("libx264", {"preset": "ultrafast", "x264-params": "repeat-headers=1:aud=1:slices=2"}, "h264"),
        ("libx265", {"preset": "ultrafast", "x265-params": "repeat-headers=1:log-level=none"}, "hevc"),
    ],
)
def test_key_frames_are_known(encoder: str, options: dict[str, str], decoder: str) -> None:
    units = encoded(encoder, options)
    assert [is_key(decoder, unit) for _, unit in units] == [key for key, _ in units]
    assert any(key for key, _ in units)
    assert not all(key for key, _ in units)


def test_parameter_sets_alone_are_no_key_frame() -> None:
    assert not is_key("h264", b"\0\0\0\1\x67abc\0\0\1\x68d")


@pytest.mark.parametrize(
    ("fields", "configuration"),
    [
        ({"sprop-parameter-sets": "Z2FiYw==,aGRlZg=="}, b"\0\0\0\1gabc\0\0\0\1hdef"),
        ({"sprop-parameter-sets": "Z2FiYw==,"}, b"\0\0\0\1gabc"),
        (
            {name: base64.b64encode(name.encode()).decode() for name in ("sprop-sps", "sprop-vps", "sprop-pps")},
            b"\0\0\0\1sprop-vps\0\0\0\1sprop-sps\0\0\0\1sprop-pps",
        ),
        ({"config": "000001b0"}, b"\0\0\1\xb0"),
        ({"config": "no hexadecimal"}, None),
        ({"sprop-parameter-sets": "Z2FiY"}, None),
        ({}, None),
    ],
)
def test_what_a_description_states(fields: dict[str, str], configuration: bytes | None) -> None:
    assert stated_configuration(fields.get) == configuration


def test_every_codec_has_a_decoder() -> None:
    for codec in CODECS.values():
        assert av.CodecContext.create(codec.decoder, "r").name == codec.decoder
