"""What all H.264 codecs share: a context of FFmpeg, set for low delay and with our colours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

import av
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc

from sightd.daemon.config.model import Output

CLOCK = 90_000
"""Ticks a second of presentation times, as RTP counts them."""
_BT601_MATRIX = 6
"""AVCOL_SPC_SMPTE170M."""


class EncoderError(Exception):
    """The encoder cannot start or go on; the message says what to do."""


OpenCodec = Callable[[int, int, float, Output], VideoCodecContext]
"""Width, height, frames a second and options to a codec that takes I420, or pictures on a GPU where its `pix_fmt` is
ON_GPU. EncoderError where it cannot be."""
ON_GPU = "cuda"


def opened(
    codec: str, width: int, height: int, fps: float, key_frames_every: int, options: Mapping[str, str]
) -> VideoCodecContext:
    """What `described` gives, open for I420 of the host. EncoderError where it refuses the options."""
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
    """A codec without B-frames and frame threads, which the first picture opens. `key_frames_every` so many pictures,
    unless one is asked for: more than there ever are, since they come by the clock. EncoderError where FFmpeg has none.
    """
    try:
        context = av.CodecContext.create(codec, "w")
    except av.codec.codec.UnknownCodecError as error:
        raise EncoderError(f"this build of PyAV has no {codec}: install the wheel from the package index") from error
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = width, height, pixels
    context.time_base = Fraction(1, CLOCK)
    context.framerate = Fraction(max(fps, 1.0)).limit_denominator(1001)
    context.gop_size = key_frames_every
    context.max_b_frames = 0
    context.thread_count = 1  # one core a camera: frame threads would hold pictures back
    mark_colours(context)
    context.options = dict(options)
    return context


def mark_colours(target: VideoCodecContext | av.VideoFrame) -> None:
    """States the colours that `daemon.colour` makes: BT.601 matrix, limited range, BT.709 primaries and transfer."""
    target.color_range = ColorRange.MPEG
    target.colorspace = _BT601_MATRIX
    target.color_primaries = ColorPrimaries.BT709
    target.color_trc = ColorTrc.BT709
