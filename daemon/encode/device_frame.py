"""Images on a GPU as frames that FFmpeg's encoders read there."""

from __future__ import annotations

import functools

import av
from av.video.frame import CudaContext

from sightd.daemon.encode.codec import EncoderError
from sightd.engines.cuda.device_image import DeviceImage
from sightd.engines.cuda.dlpack import CUDA, BytePlane


def device_frame(image: DeviceImage) -> av.VideoFrame:
    """Returns a frame in the image's own memory, which it keeps alive; nothing is copied. Raises EncoderError if FFmpeg
    cannot take it.

    FFmpeg uses the GPU context that is current here: it refuses to share the primary one by its own means if others
    have opened that with other flags.
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
