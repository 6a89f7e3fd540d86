"""H.264 on the CPU, with libx264."""

from __future__ import annotations

from av.video.codeccontext import VideoCodecContext

from sightd.daemon.config.model import Output
from sightd.daemon.encode.codec import opened

_INFINITE = 1 << 30
"""x264's value for "no key frame by count"."""


def open_x264(width: int, height: int, fps: float, options: Output) -> VideoCodecContext:
    """Returns an open libx264 that holds no image back; see `codec.OpenCodec`."""
    rate = options.max_bitrate
    settings = {
        "preset": options.preset,
        "tune": "zerolatency",
        "crf": str(options.crf),
        "forced-idr": "1",
        # a buffer of one second's bits: room for a good key frame, and no longer burst than that
        "x264-params": f"repeat-headers=1:aud=1:scenecut=0:sliced-threads=0:vbv-maxrate={rate}:vbv-bufsize={rate}",
    }
    return opened("libx264", width, height, fps, _INFINITE, settings)
