"""H.264 with low delay: one picture in, its packet out."""

from __future__ import annotations

from fractions import Fraction

import av
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

from sightd.daemon.colour import I420, i420_for, nv12_to_i420, to_i420
from sightd.daemon.config.model import Output
from sightd.daemon.encode.codec import CLOCK, ON_GPU, EncoderError, OpenCodec
from sightd.daemon.encode.device_frame import device_frame
from sightd.daemon.encode.packet import Packet
from sightd.daemon.encode.x264 import open_x264
from sightd.engines.cuda.device_image import DeviceImage
from sightd.plugins.types import Image


class H264Encoder:
    """Encodes one camera's pictures of one size; another size needs another encoder. Used by one thread.

    No B-frames, no look-ahead and no frame threads: nothing is held back. Key frames come by the clock, because a
    camera's frame rate varies. Colours are marked as what cv2 computes, BT.601 matrix in limited range, with the
    BT.709 primaries and transfer that cameras and screens have, so that players show the colours of the BGR picture.
    """

    def __init__(self, width: int, height: int, fps: float, options: Output, open_codec: OpenCodec = open_x264) -> None:
        self._i420 = i420_for(width, height)
        self._interval = options.keyframe_interval
        self._last_key = float("-inf")
        self._started_at: float | None = None
        self._last_pts = -1
        self._context: VideoCodecContext | None = open_codec(width, height, fps, options)
        self.in_place = self._context.pix_fmt == ON_GPU
        """Whether it reads pictures on a GPU where they are, and no others."""

    def encode(self, image: Image | DeviceImage, captured_at: float, keyframe: bool = False) -> list[Packet]:
        """The packets of a BGR picture, or of one on a GPU as `FrameDrawing` makes it (one; none after the encoder
        dropped it). `image` is free afterwards; one on a GPU stays as long as the codec holds it.

        `captured_at` is monotonic seconds. `keyframe` asks for an IDR picture now; one also comes when
        the last is older than the configured interval. ValueError where the size is not the encoder's.
        """
        if self._context is None:
            raise EncoderError("the encoder is closed: make a new one")
        frame = self._frame_of(image)
        frame.pts = self._pts(captured_at)
        frame.time_base = Fraction(1, CLOCK)
        due = keyframe or not 0 <= captured_at - self._last_key < self._interval
        frame.pict_type = PictureType.I if due else PictureType.NONE
        try:
            packets = [Packet(bytes(p), captured_at, p.is_keyframe) for p in self._context.encode(frame)]
        except av.FFmpegError as error:
            raise EncoderError(f"{self._context.name} refused a picture: {error}. Make a new encoder.") from error
        if any(packet.keyframe for packet in packets):
            self._last_key = captured_at
        return packets

    def close(self) -> None:
        """Lets go of the encoder's memory; it holds no picture back. May be called again."""
        self._context = None

    def _frame_of(self, image: Image | DeviceImage) -> av.VideoFrame:
        if not isinstance(image, DeviceImage):
            to_i420(image, self._i420)
        elif self.in_place:
            return device_frame(image)
        else:
            nv12_to_i420(image.nv12(), self._i420)
        return _borrowed(self._i420)

    def _pts(self, captured_at: float) -> int:
        """Ticks since the first picture; always later than the last, also where two were captured at once."""
        if self._started_at is None:
            self._started_at = captured_at
        self._last_pts = max(self._last_pts + 1, round((captured_at - self._started_at) * CLOCK))
        return self._last_pts


def _borrowed(i420: I420) -> av.VideoFrame:
    """A frame that borrows the buffer: the codec has copied it when encode() returns, for nothing is held back.

    Where the height is no multiple of 4, the frame has a copy: PyAV's borrowing takes such a picture for a lower one.
    """
    if i420.shape[0] % 6 == 0:
        return av.VideoFrame.from_numpy_buffer(i420, format="yuv420p")
    return av.VideoFrame.from_ndarray(i420, format="yuv420p")
