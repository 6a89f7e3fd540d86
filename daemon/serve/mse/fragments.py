"""Fragmented MP4 (ISO/IEC 14496-12) of a live stream, one frame per fragment."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av

TICKS = 90_000
"""Ticks per second."""
_START = b"\0\0\1"
_MUXED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
_KEY, _DEPENDS = 0x02000000, 0x01010000
"""Flags of samples that can be decoded by themselves, and of others."""
_RUN_FLAGS = 0x000001 | 0x000100 | 0x000200 | 0x000400 | 0x000800
"""The data's offset, and of each sample the duration, size, flags and composition time."""
_DEFAULT_BASE_IS_MOOF = 0x020000
_HEVC_SPS = 33
_OUTSIDE = {"h264": frozenset({7, 8, 9}), "hevc": frozenset({32, 33, 34, 35})}
"""Types of NAL units that samples do not contain: parameter sets and delimiters."""


class UnplayableError(Exception):
    """No player could play what begins with this key frame."""


@dataclass(frozen=True, slots=True, eq=False)
class Header:
    """What a player needs before fragments: their MIME type, and the initialisation segment."""

    type: str
    init: bytes


def header(codec: str, key_frame: bytes) -> Header:
    """Returns the header of a stream of H.264 or H.265 that begins with this key frame (Annex B). Raises
    UnplayableError."""
    written = io.BytesIO()
    try:
        with (
            av.open(io.BytesIO(key_frame), format=codec) as source,
            av.open(written, "w", format="mp4", container_options=_MUXED) as container,
        ):
            template = source.streams.video[0]
            if not template.width or not template.codec_context.extradata:
                raise UnplayableError("its key frame has no parameter sets")
            stream = container.add_stream_from_template(template)
            if codec == "hevc":
                stream.codec_context.codec_tag = "hvc1"  # the only form of H.265 that Safari plays
            stream.time_base = Fraction(1, TICKS)
            container.start_encoding()
            init = written.getvalue()
    except (av.FFmpegError, IndexError) as error:
        raise UnplayableError(f"its key frame cannot be read: {type(error).__name__}") from None
    return Header(f'video/mp4; codecs="{_codec_string(codec, key_frame)}"', init)


def fragment(codec: str, unit: bytes, number: int, times: tuple[int, int], duration: int, key: bool) -> bytes:
    """Returns an access unit (Annex B) as a fragment. `times` are pts and dts, in ticks as `duration`."""
    sample = b"".join(len(nal).to_bytes(4, "big") + nal for nal in _nal_units(codec, unit))
    pts, dts = times
    movie = _movie_fragment(
        number, dts, struct.pack("!IIIi", duration, len(sample), _KEY if key else _DEPENDS, pts - dts)
    )
    return movie + struct.pack("!I4s", 8 + len(sample), b"mdat") + sample


def _movie_fragment(number: int, dts: int, entry: bytes) -> bytes:
    track_header = _box(b"tfhd", struct.pack("!II", _DEFAULT_BASE_IS_MOOF, 1))
    decode_time = _box(b"tfdt", struct.pack("!IQ", 1 << 24, dts))
    begin = _box(b"mfhd", struct.pack("!II", 0, number & 0xFFFFFFFF))
    run_size = 8 + 12 + len(entry)
    offset = 8 + len(begin) + 8 + len(track_header) + len(decode_time) + run_size + 8
    run = _box(b"trun", struct.pack("!III", 1 << 24 | _RUN_FLAGS, 1, offset) + entry)
    return _box(b"moof", begin + _box(b"traf", track_header + decode_time + run))


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack("!I4s", 8 + len(content), kind) + content


def _nal_units(codec: str, unit: bytes) -> Iterator[bytes]:
    """Yields the NAL units that belong into a sample."""
    outside = _OUTSIDE[codec]
    for nal in unit.split(_START)[1:]:
        nal = nal.rstrip(b"\0")
        if nal and _kind(codec, nal) not in outside:
            yield nal


def _kind(codec: str, nal: bytes) -> int:
    return nal[0] & 31 if codec == "h264" else nal[0] >> 1 & 63


def _codec_string(codec: str, key_frame: bytes) -> str:
    """Returns the codec's parameter (RFC 6381; for H.265 ISO/IEC 14496-15, E.3). Raises UnplayableError."""
    wanted = 7 if codec == "h264" else _HEVC_SPS
    for nal in key_frame.split(_START)[1:]:
        if nal and _kind(codec, nal) == wanted and len(nal) > 15:
            return f"avc1.{nal[1:4].hex().upper()}" if codec == "h264" else _hevc_string(nal)
    raise UnplayableError("its key frame has no sequence parameter set")


def _hevc_string(nal: bytes) -> str:
    levels = nal.replace(b"\0\0\3", b"\0\0")[3:15]  # after the NAL unit's header and a byte of identifiers
    space, tier, profile = levels[0] >> 6, "LH"[levels[0] >> 5 & 1], levels[0] & 31
    compatible = int(f"{int.from_bytes(levels[1:5], 'big'):032b}"[::-1], 2)
    constraints = levels[5:11].rstrip(b"\0")
    parts = [f"hvc1.{' ABC'[space].strip()}{profile}", f"{compatible:X}", f"{tier}{levels[11]}"]
    return ".".join([*parts, *(f"{one:X}" for one in constraints)])
