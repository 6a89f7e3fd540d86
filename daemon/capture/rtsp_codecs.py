"""The video codecs that can be read over RTP, and the GStreamer elements that reassemble their frames."""

from __future__ import annotations

import base64
import re
from binascii import Error
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RtpCodec:
    """`depayloader` is the GStreamer element, `caps` its required output: one frame per buffer.

    `decoder` is FFmpeg's name of the codec, `package` the Debian package with the element. `needs_configuration`: some
    of what the decoder needs may be only in the camera's description.
    """

    depayloader: str
    caps: str
    decoder: str
    package: str = "gstreamer1.0-plugins-good"
    needs_configuration: bool = False


CODECS: dict[str, RtpCodec] = {
    "H264": RtpCodec("rtph264depay", "video/x-h264,stream-format=byte-stream,alignment=au", "h264"),
    "H265": RtpCodec("rtph265depay", "video/x-h265,stream-format=byte-stream,alignment=au", "hevc"),
    "JPEG": RtpCodec("rtpjpegdepay", "image/jpeg", "mjpeg"),
    "MP4V-ES": RtpCodec("rtpmp4vdepay", "video/mpeg,mpegversion=4", "mpeg4", needs_configuration=True),
    "VP8": RtpCodec("rtpvp8depay", "video/x-vp8", "vp8"),
    "VP9": RtpCodec("rtpvp9depay", "video/x-vp9", "vp9"),
    "AV1": RtpCodec("rtpav1depay", "video/x-av1,alignment=tu", "libdav1d", "gstreamer1.0-plugins-rs"),
}
"""By encoding name in upper case, as in SDP (RFC 4566)."""
STATIC = {26: "JPEG", 31: "H261", 32: "MPV", 33: "MP2T", 34: "H263"}
"""Encoding names of static payload types (RFC 3551)."""

_START = b"\0\0\0\1"
_UNIT = re.compile(rb"\x00\x00\x01(.)", re.DOTALL)
_PARAMETER_SETS = ("sprop-vps", "sprop-sps", "sprop-pps", "sprop-parameter-sets")


def stated_configuration(field: Callable[[str], str | None]) -> bytes | None:
    """Returns the decoder configuration in the camera's description, in FFmpeg's format; None if it is absent or
    malformed. `field` returns the value of a parameter: parameter sets in base64 (RFC 6184, 7798), or MPEG-4's
    configuration in hexadecimal."""
    try:
        if config := field("config"):
            return bytes.fromhex(config)
        sets = [base64.b64decode(one) for name in _PARAMETER_SETS for one in (field(name) or "").split(",")]
    except (Error, ValueError):
        return None
    return b"".join(_START + one for one in sets if one) or None


def is_key(decoder: str, unit: bytes) -> bool:
    """Returns whether an access unit (H.264 and HEVC: in Annex B) can be decoded without those before it. Always True
    for other codecs."""
    if decoder not in ("h264", "hevc"):
        return True
    for match in _UNIT.finditer(unit):
        kind = match[1][0] & 31 if decoder == "h264" else match[1][0] >> 1 & 63
        if decoder == "h264" and kind in (1, 5):
            return kind == 5
        if decoder == "hevc" and kind < 32:
            return 16 <= kind <= 23
    return False
