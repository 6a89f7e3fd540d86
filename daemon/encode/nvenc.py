"""H.264 on an NVIDIA GPU, by its encoder NVENC, and whether there is one."""

from __future__ import annotations

from functools import cache

from av.video.codeccontext import VideoCodecContext

from daemon.config.model import Output
from daemon.encode.codec import ON_GPU, EncoderError, described, opened
from engines.placement import no_gpu

_NAME = "h264_nvenc"
_NEVER = 1 << 20
"""Pictures from key frame to key frame: hours more than they come by the clock."""
_PROBE = (256, 256)
"""The least width that any NVENC takes is 145."""


def open_nvenc(width: int, height: int, fps: float, options: Output) -> VideoCodecContext:
    """An open NVENC that holds no picture back; see `codec.OpenCodec`. It copies each picture onto the GPU itself.

    `crf` is its constant quality (`cq`), whose scale is the same, and `preset` is x264's alone. Parameter sets come
    with each key frame, for no global header is asked for.
    """
    return opened(_NAME, width, height, fps, _NEVER, settings(options))


def open_nvenc_on_gpu(width: int, height: int, fps: float, options: Output) -> VideoCodecContext:
    """As `open_nvenc`, for pictures that lie on a GPU: the first one opens it, on that GPU."""
    return described(_NAME, width, height, fps, _NEVER, settings(options), ON_GPU)


def settings(options: Output) -> dict[str, str]:
    """FFmpeg's options of h264_nvenc."""
    rate = f"{options.max_bitrate}k"
    return {
        "preset": "p3",
        "tune": "ull",
        "profile": "main",
        "rc": "vbr",
        "cq": str(options.crf),
        "b": "0",  # the quality decides, up to maxrate
        "maxrate": rate,
        "bufsize": rate,
        "forced-idr": "1",
        "aud": "1",
        "no-scenecut": "1",
        "rc-lookahead": "0",
        "zerolatency": "1",
        "delay": "0",
    }


@cache
def nvenc_problem() -> str | None:
    """Why NVENC cannot be used on this machine; None where it can: it was opened, for no name of a card tells (H100
    has none). Asked once a process; without a driver nothing of CUDA is loaded.
    """
    if problem := no_gpu():
        return problem
    try:
        open_nvenc(*_PROBE, 25, Output())
    except EncoderError as error:
        return f"this GPU has no NVENC, all its sessions are taken, or libnvidia-encode is missing ({error})"
    return None
