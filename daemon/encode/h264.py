"""H.264 by libx264, set for low delay: one picture in, its packet out."""

from __future__ import annotations

from fractions import Fraction

import av
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc

from daemon.colour import I420, i420_for, to_i420
from daemon.config.model import Output
from daemon.encode.packet import Packet
from plugins.types import Image

_CLOCK = 90_000
"""Ticks a second of presentation times, as RTP counts them."""
_X264_INFINITE = 1 << 30
"""What x264 takes for "no key frame by count": they come by the clock, because a camera's frame rate varies."""
_BT601_MATRIX = 6
"""AVCOL_SPC_SMPTE170M."""


class EncoderError(Exception):
    """The encoder cannot start or go on; the message says what to do."""


class H264Encoder:
    """Encodes one camera's pictures of one size; another size needs another encoder. Used by one thread.

    No B-frames, no look-ahead and no frame threads: nothing is held back. Colours are marked as what cv2 computes,
    BT.601 matrix in limited range, with the BT.709 primaries and transfer that cameras and screens have, so that
    players show the colours of the BGR picture.
    """

    def __init__(self, width: int, height: int, fps: float, options: Output) -> None:
        self._i420 = i420_for(width, height)
        self._interval = options.keyframe_interval
        self._last_key = float("-inf")
        self._started_at: float | None = None
        self._last_pts = -1
        self._context: VideoCodecContext | None = _open(width, height, fps, options)

    def encode(self, image: Image, captured_at: float, keyframe: bool = False) -> list[Packet]:
        """The packets of a BGR picture (one; none after the encoder dropped it). `image` is free afterwards.

        `captured_at` is monotonic seconds. `keyframe` asks for an IDR picture now; one also comes when
        the last is older than the configured interval. ValueError where the size is not the encoder's.
        """
        if self._context is None:
            raise EncoderError("the encoder is closed: make a new one")
        to_i420(image, self._i420)
        frame = _frame_of(self._i420)
        frame.pts = self._pts(captured_at)
        frame.time_base = Fraction(1, _CLOCK)
        due = keyframe or not 0 <= captured_at - self._last_key < self._interval
        frame.pict_type = PictureType.I if due else PictureType.NONE
        try:
            packets = [Packet(bytes(p), captured_at, p.is_keyframe) for p in self._context.encode(frame)]
        except av.FFmpegError as error:
            raise EncoderError(f"libx264 refused a picture: {error}. Make a new encoder.") from error
        if any(packet.keyframe for packet in packets):
            self._last_key = captured_at
        return packets

    def close(self) -> None:
        """Lets go of the encoder's memory; it holds no picture back. May be called again."""
        self._context = None

    def _pts(self, captured_at: float) -> int:
        """Ticks since the first picture; always later than the last, also where two were captured at once."""
        if self._started_at is None:
            self._started_at = captured_at
        self._last_pts = max(self._last_pts + 1, round((captured_at - self._started_at) * _CLOCK))
        return self._last_pts


def _frame_of(i420: I420) -> av.VideoFrame:
    """A frame that borrows the buffer: x264 has copied it when encode() returns, for nothing is held back.

    Where the height is no multiple of 4, the frame has a copy: PyAV's borrowing takes such a picture for a lower one.
    """
    if i420.shape[0] % 6 == 0:
        return av.VideoFrame.from_numpy_buffer(i420, format="yuv420p")
    return av.VideoFrame.from_ndarray(i420, format="yuv420p")


def _open(width: int, height: int, fps: float, options: Output) -> VideoCodecContext:
    """An x264 encoder. EncoderError where this build of PyAV has none or it refuses the settings."""
    try:
        context = av.CodecContext.create("libx264", "w")
    except av.codec.codec.UnknownCodecError as error:
        raise EncoderError("this build of PyAV has no libx264: install the wheel from the package index") from error
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base = Fraction(1, _CLOCK)
    context.framerate = Fraction(max(fps, 1.0)).limit_denominator(1001)
    context.gop_size = _X264_INFINITE
    context.max_b_frames = 0
    context.thread_count = 1  # one core a camera: frame threads would hold pictures back
    context.color_range = ColorRange.MPEG
    context.colorspace = _BT601_MATRIX
    context.color_primaries = ColorPrimaries.BT709
    context.color_trc = ColorTrc.BT709
    rate = options.max_bitrate
    context.options = {
        "preset": options.preset,
        "tune": "zerolatency",
        "crf": str(options.crf),
        "forced-idr": "1",
        # a second's worth of bits as buffer: room for a good key frame, and no longer burst than that
        "x264-params": f"repeat-headers=1:aud=1:scenecut=0:sliced-threads=0:vbv-maxrate={rate}:vbv-bufsize={rate}",
    }
    try:
        context.open()
    except av.FFmpegError as error:
        raise EncoderError(f"libx264 cannot encode {width}x{height} with {options}: {error}") from error
    return context
