"""The H.264 codecs, x264 and NVENC: FFmpeg contexts set up for low delay and with our colours."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from fractions import Fraction

import av
from av.codec.codec import UnknownCodecError
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc

from sightd.daemon.config.model import Output
from sightd.engines.cuda.gpus import no_gpu

CLOCK = 90_000
"""Ticks per second of presentation times, as in RTP."""
_BT601_MATRIX = 6
"""AVCOL_SPC_SMPTE170M."""


OpenCodec = Callable[[int, int, float, Output], VideoCodecContext]
"""Takes width, height, frames per second and options. Returns a codec for I420 images, or for images on a GPU if its
`pix_fmt` is ON_GPU. Raises EncoderError if there can be none."""
ON_GPU = "cuda"
_X264_INFINITE = 1 << 30
"""x264's value for "no key frame by count"."""
RETRY_AFTER = 60.0
"""Seconds after which a card that refused is tried again: the sessions in use may have ended."""
_NVENC = "h264_nvenc"
_NEVER = 1 << 20
"""Frames between two key frames: more than is ever reached, because key frames are requested by time."""
_PROBE = (256, 256)
"""Width and height of the trial encoder; NVENC needs a width of at least 145."""


class EncoderError(Exception):
    """The encoder cannot start or continue; the message says what to do."""


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
    frame interval in frames; callers set it higher than is ever reached, because key frames are requested by time.
    Raises EncoderError if FFmpeg does not have the codec."""
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
    """Declares the colours that `encode.encoder` makes: BT.601 matrix, limited range, BT.709 primaries and transfer."""
    target.color_range = ColorRange.MPEG
    target.colorspace = _BT601_MATRIX
    target.color_primaries = ColorPrimaries.BT709
    target.color_trc = ColorTrc.BT709


def open_x264(width: int, height: int, fps: float, options: Output) -> VideoCodecContext:
    """Returns an open libx264 that holds no image back; see `OpenCodec`."""
    rate = options.max_bitrate
    settings = {
        "preset": options.preset,
        "tune": "zerolatency",
        "crf": str(options.crf),
        "forced-idr": "1",
        # a buffer of one second's bits: room for a good key frame, and no longer burst than that
        "x264-params": f"repeat-headers=1:aud=1:scenecut=0:sliced-threads=0:vbv-maxrate={rate}:vbv-bufsize={rate}",
    }
    return opened("libx264", width, height, fps, _X264_INFINITE, settings)


def open_nvenc(width: int, height: int, fps: float, options: Output) -> VideoCodecContext:
    """Returns an open NVENC that holds no image back; see `OpenCodec`. It copies each image to the GPU itself.

    `crf` is its constant quality (`cq`), whose scale is the same, and `preset` applies only to x264. Parameter sets
    come with each key frame, because no global header is requested.
    """
    return opened(_NVENC, width, height, fps, _NEVER, nvenc_settings(options))


def open_nvenc_on_gpu(width: int, height: int, fps: float, options: Output) -> VideoCodecContext:
    """Like `open_nvenc`, for images on a GPU: the first one opens it, on that GPU."""
    return described(_NVENC, width, height, fps, _NEVER, nvenc_settings(options), ON_GPU)


def nvenc_settings(options: Output) -> dict[str, str]:
    """Returns FFmpeg's options for h264_nvenc."""
    rate = f"{options.max_bitrate}k"
    return {
        "preset": "p3",
        "tune": "ull",
        "profile": "main",
        "rc": "vbr",
        "cq": str(options.crf),
        "b": "0",  # quality decides, up to maxrate
        "maxrate": rate,
        "bufsize": rate,
        "forced-idr": "1",
        "aud": "1",
        "no-scenecut": "1",
        "rc-lookahead": "0",
        "zerolatency": "1",
        "delay": "0",
    }


class NvencProblem:
    """Why NVENC cannot be used on this machine; None if it can. It is opened to find out, because a card's name does
    not tell (H100 has none). Any thread: one probes, and the others wait for its result.

    A permanent result is kept: it works, there is no GPU, or FFmpeg was built without it. A card that is there but
    refused is probed again `RETRY_AFTER` s later. Without a driver no part of CUDA is loaded.
    """

    def __init__(
        self,
        *,
        gpu_missing: Callable[[], str | None] = no_gpu,
        nvenc: OpenCodec = open_nvenc,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gpu_missing, self._nvenc, self._clock = gpu_missing, nvenc, clock
        self._lock = threading.Lock()
        self._answer: str | None = None
        self._ask_at = -math.inf

    def __call__(self) -> str | None:
        with self._lock:
            if self._clock() >= self._ask_at:
                self._answer, lasts = self._asked()
                self._ask_at = math.inf if lasts else self._clock() + RETRY_AFTER
            return self._answer

    def _asked(self) -> tuple[str | None, bool]:
        """Returns the problem, and whether it is permanent."""
        if problem := self._gpu_missing():
            return problem, True
        try:
            self._nvenc(*_PROBE, 25, Output())
        except EncoderError as error:
            if isinstance(error.__cause__, UnknownCodecError):
                return str(error), True
            return f"this GPU has no NVENC, all its sessions are taken, or libnvidia-encode is missing ({error})", False
        return None, True


nvenc_problem = NvencProblem()
"""The instance of this process."""
