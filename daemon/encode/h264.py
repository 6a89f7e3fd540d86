"""Low-delay H.264: one image in, its packet out."""

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
    """Encodes one camera's images of one size; another size needs another encoder. Used by one thread.

    No B-frames, no look-ahead and no frame threads: nothing is held back. Key frames come by the clock, because a
    camera's frame rate varies. Colours are marked as cv2 computes them (BT.601 matrix, limited range), with the BT.709
    primaries and transfer of cameras and screens, so that players show the colours of the BGR image.
    """

    def __init__(self, width: int, height: int, fps: float, options: Output, open_codec: OpenCodec = open_x264) -> None:
        self._i420 = i420_for(width, height)
        self._interval = options.keyframe_interval
        self._last_key = float("-inf")
        self._started_at: float | None = None
        self._last_pts = -1
        self._context: VideoCodecContext | None = open_codec(width, height, fps, options)
        self.in_place = self._context.pix_fmt == ON_GPU
        """Whether it reads images on a GPU in place, and no others."""

    def encode(self, image: Image | DeviceImage, captured_at: float, keyframe: bool = False) -> list[Packet]:
        """Returns the packets of a BGR image, or of one on a GPU as `FrameDrawing` makes it (one packet; none if the
        encoder dropped it). `image` may be reused afterwards; the codec holds one on a GPU for as long as it needs it.

        `captured_at` is monotonic seconds. `keyframe` requests an IDR frame now; one also comes if the last is older
        than the configured interval. Raises ValueError if the size is not the encoder's, EncoderError if the encoder is
        closed or refuses the image.
        """
        if self._context is None:
            raise EncoderError("the encoder is closed: create a new one")
        frame = self._frame_of(image)
        frame.pts = self._pts(captured_at)
        frame.time_base = Fraction(1, CLOCK)
        due = keyframe or not 0 <= captured_at - self._last_key < self._interval
        frame.pict_type = PictureType.I if due else PictureType.NONE
        try:
            packets = [Packet(bytes(p), captured_at, p.is_keyframe) for p in self._context.encode(frame)]
        except av.FFmpegError as error:
            raise EncoderError(f"{self._context.name} rejected a frame: {error}. Create a new encoder.") from error
        if any(packet.keyframe for packet in packets):
            self._last_key = captured_at
        return packets

    def close(self) -> None:
        """Releases the encoder's memory; it holds no image back. Idempotent."""
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
        """Returns ticks since the first image; always more than the last, even if two were captured at once."""
        if self._started_at is None:
            self._started_at = captured_at
        self._last_pts = max(self._last_pts + 1, round((captured_at - self._started_at) * CLOCK))
        return self._last_pts


def _borrowed(i420: I420) -> av.VideoFrame:
    """Returns a frame that borrows the buffer: the codec has copied it when encode() returns, because nothing is held
    back.

    If the height is not a multiple of 4, the frame has a copy: PyAV's borrowing gets the height of such an image wrong.
    """
    if i420.shape[0] % 6 == 0:
        return av.VideoFrame.from_numpy_buffer(i420, format="yuv420p")
    return av.VideoFrame.from_ndarray(i420, format="yuv420p")
