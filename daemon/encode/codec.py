"""What all H.264 codecs share: an FFmpeg context, set up for low delay and with our colours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

import av
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc

from sightd.daemon.config.model import Output

CLOCK = 90_000
"""Ticks per second of presentation times, as in RTP."""
_BT601_MATRIX = 6
"""AVCOL_SPC_SMPTE170M."""


class EncoderError(Exception):
    """The encoder cannot start or continue; the message says what to do."""


OpenCodec = Callable[[int, int, float, Output], VideoCodecContext]
"""Takes width, height, frames per second and options. Returns a codec for I420 images, or for images on a GPU if its
`pix_fmt` is ON_GPU. Raises EncoderError if there can be none."""
ON_GPU = "cuda"


def opened(
    codec: str, width: int, height: int, fps: float, key_frames_every: int, options: Mapping[str, str]
) -> VideoCodecContext:
    """Returns the codec of `described`, opened for I420 on the host. Raises EncoderError if it refuses the options."""
    context = described(codec, width, height, fps, key_frames_every, options)
    try:
        context.open()
    except av.FFmpegError as error:
        raise EncoderError(f"{codec} cannot encode {width}x{height} with {dict(options)}: {error.strerror}") from error
    return context


def described(
    codec: str,
    width: int,
    height: int,
    fps: float,
    key_frames_every: int,
    options: Mapping[str, str],
    pixels: str = "yuv420p",
) -> VideoCodecContext:
    """Returns a codec without B-frames and frame threads, which the first frame opens. `key_frames_every` is the key
    frame interval in frames; callers set it higher than is ever reached, because key frames come by the clock. Raises
    EncoderError if FFmpeg does not have the codec."""
    try:
        context = av.CodecContext.create(codec, "w")
    except av.codec.codec.UnknownCodecError as error:
        raise EncoderError(
            f"this build of PyAV does not include {codec}: install the wheel from the package index"
        ) from error
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = width, height, pixels
    context.time_base = Fraction(1, CLOCK)
    context.framerate = Fraction(max(fps, 1.0)).limit_denominator(1001)
    context.gop_size = key_frames_every
    context.max_b_frames = 0
    context.thread_count = 1  # one core per camera: frame threads would hold frames back
    mark_colours(context)
    context.options = dict(options)
    return context


def mark_colours(target: VideoCodecContext | av.VideoFrame) -> None:
    """Declares the colours that `daemon.colour` makes: BT.601 matrix, limited range, BT.709 primaries and transfer."""
    target.color_range = ColorRange.MPEG
    target.colorspace = _BT601_MATRIX
    target.color_primaries = ColorPrimaries.BT709
    target.color_trc = ColorTrc.BT709
