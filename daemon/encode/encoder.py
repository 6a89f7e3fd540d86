"""Encodes images: low-delay H.264, one image in, its packet out; JPEG; and the conversion to encoders' YUV formats."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from fractions import Fraction

import av
import cv2
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import CudaContext, PictureType
from numpy.typing import NDArray

from sightd.daemon.config.model import Output
from sightd.daemon.encode.codecs import CLOCK, ON_GPU, EncoderError, OpenCodec, open_x264
from sightd.engines.cuda.dlpack import CUDA, BytePlane
from sightd.engines.cuda.image import DeviceImage
from sightd.plugins.api import Image

Nv12 = NDArray[np.uint8]
"""uint8 [height × 3 / 2, width]: the luma rows, then rows of interleaved U and V; width and height are even."""
I420 = NDArray[np.uint8]
"""uint8 [height × 3 / 2, width]: the luma rows, then the quarter-size U plane, then V; width and height are even."""


def i420_for(width: int, height: int) -> I420:
    """Allocates an image for `to_i420` to write into. Raises ValueError if a side is odd or not positive."""
    if width <= 0 or height <= 0 or width % 2 or height % 2:
        raise ValueError(f"a 4:2:0 image must have even sides, not {width}x{height}: crop or scale it first")
    return np.empty((height * 3 // 2, width), np.uint8)


def to_i420(image: Image, into: I420) -> None:
    """Converts the BGR image into `into`, which the caller owns. Raises ValueError if their sizes do not match."""
    height, width = image.shape[:2]
    if into.shape != (height * 3 // 2, width):
        raise ValueError(f"an image of {width}x{height} does not fit a 4:2:0 buffer of shape {into.shape}")
    cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420, dst=into)


def nv12_to_i420(picture: Nv12, into: I420) -> None:
    """Copies the image with U and V split into separate planes. Raises ValueError if their shapes differ."""
    if picture.shape != into.shape:
        raise ValueError(f"an image of shape {picture.shape} does not fit a 4:2:0 buffer of shape {into.shape}")
    height, width = picture.shape[0] * 2 // 3, picture.shape[1]
    into[:height] = picture[:height]
    planes = into[height:].reshape(2, height // 2, width // 2)
    planes[...] = picture[height:].reshape(height // 2, width // 2, 2).transpose(2, 0, 1)


@dataclass(frozen=True, slots=True)
class Packet:
    """An H.264 access unit in Annex B, with its parameter sets before every key frame.

    `captured_at` is when its frame was captured, in seconds of the monotonic clock. Immutable: any thread may hold it.
    """

    data: bytes
    captured_at: float
    keyframe: bool


def device_frame(image: DeviceImage) -> av.VideoFrame:
    """Returns a frame in the image's own memory, which it keeps alive; nothing is copied. Raises EncoderError if FFmpeg
    cannot take it.

    FFmpeg uses the GPU context that is current here: on its own, it refuses to share the primary context if other code
    has opened that with different flags.
    """
    with image.active():
        try:
            context = _context(image.ordinal, image.context_handle)
            there = planes(image, (CUDA, image.ordinal))
            return av.VideoFrame.from_dlpack(there, format="nv12", cuda_context=context)
        except av.FFmpegError as error:
            raise EncoderError(f"FFmpeg cannot use images on cuda:{image.ordinal}: {error.strerror}") from error


def planes(image: DeviceImage, device: tuple[int, int]) -> tuple[BytePlane, BytePlane]:
    """Returns luma and chroma planes for DLPack's `device` (type, ordinal)."""
    picture = image.picture
    assert picture.chroma is not None
    luma = BytePlane(image, picture.plane, picture.height, picture.width, picture.pitch, device)
    chroma = BytePlane(image, picture.chroma, picture.height // 2, picture.width, picture.chroma_pitch, device)
    return luma, chroma


@functools.cache
def _context(ordinal: int, handle: int) -> CudaContext:
    """Returns FFmpeg's context of that GPU; it wraps the context `handle`, which is current when it is first used."""
    return CudaContext(device_id=ordinal, primary_ctx=False, current_ctx=True)


def encode_jpeg(image: Image, quality: int) -> bytes:
    """Returns the BGR image as a JPEG file; `quality` is 1-100. Raises ValueError if OpenCV cannot encode it."""
    done, data = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, quality))
    if not done:
        raise ValueError(f"an image of shape {image.shape} cannot be encoded as JPEG")
    return data.tobytes()


class H264Encoder:
    """Encodes one camera's images of one size; another size needs another encoder. Used by one thread.

    No B-frames, no look-ahead and no frame threads: nothing is held back. Key frames are placed by time, because a
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

        `captured_at` is monotonic seconds. `keyframe` requests an IDR frame now; one is also encoded if the last is
        older than the configured interval. Raises ValueError if the size is not the encoder's, EncoderError if the
        encoder is closed or refuses the image.
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
