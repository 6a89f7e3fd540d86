"""The video codecs that can be read over RTP, and the GStreamer elements that reassemble their pictures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RtpCodec:
    """`depayloader` is GStreamer's element, `caps` what it must put out: one picture per buffer.

    `decoder` is FFmpeg's name of the codec, `package` Debian's package with the element.
    """

    depayloader: str
    caps: str
    decoder: str
    package: str = "gstreamer1.0-plugins-good"


CODECS: dict[str, RtpCodec] = {
    "H264": RtpCodec("rtph264depay", "video/x-h264,stream-format=byte-stream,alignment=au", "h264"),
    "H265": RtpCodec("rtph265depay", "video/x-h265,stream-format=byte-stream,alignment=au", "hevc"),
    "JPEG": RtpCodec("rtpjpegdepay", "image/jpeg", "mjpeg"),
    "MP4V-ES": RtpCodec("rtpmp4vdepay", "video/mpeg,mpegversion=4", "mpeg4"),
    "VP8": RtpCodec("rtpvp8depay", "video/x-vp8", "vp8"),
    "VP9": RtpCodec("rtpvp9depay", "video/x-vp9", "vp9"),
    "AV1": RtpCodec("rtpav1depay", "video/x-av1,alignment=tu", "av1", "gstreamer1.0-plugins-rs"),
}
"""By encoding name, as SDP (RFC 4566) writes it, in capitals."""
