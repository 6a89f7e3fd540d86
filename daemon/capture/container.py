"""Selects the video stream of a container, and determines how its timestamps are read."""

from __future__ import annotations

import av
from av.stream import Disposition

from sightd.daemon.capture.errors import Reason, SourceError
from sightd.daemon.capture.pacing import PresentationTimes
from sightd.daemon.capture.picture import MOST_PIXELS

_PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails
"""Cover art and thumbnails: FFmpeg reports them as video streams, but they are not what the file shows."""

_STILL_BRANDS = frozenset({"heic", "heix", "heim", "heis", "mif1"})
"""Brands of HEIC images. Phones cut these into tiles, and FFmpeg reports each tile as a video of its own."""


def video_of(container: av.container.InputContainer) -> av.VideoStream:
    """Returns the video stream: the first one marked as default, otherwise the first. Skips attached pictures and
    streams that cannot be decoded.

    Raises SourceError if there is none, or if its frames have too many pixels; its `detail` says why. The pixel limit
    also applies to later frames.
    """
    if container.metadata.get("major_brand", "").strip() in _STILL_BRANDS:
        raise SourceError(Reason.NO_VIDEO, "HEIC images are not supported: convert it to JPEG")
    videos = [stream for stream in container.streams.video if not stream.disposition & _PICTURES]
    decodable = [stream for stream in videos if stream.codec_context is not None]
    if not decodable:
        raise SourceError(Reason.NO_VIDEO, _why_none(container, unknown_codec=bool(videos)))
    chosen = next((stream for stream in decodable if stream.disposition & Disposition.default), decodable[0])
    width, height = chosen.width, chosen.height
    if width * height > MOST_PIXELS:
        most = f"at most {MOST_PIXELS // 10**6} million are supported"
        raise SourceError(Reason.NO_VIDEO, f"{width}x{height} pixels, {most}: choose a smaller stream")
    chosen.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
    return chosen


def presentation_times(container: av.container.InputContainer) -> PresentationTimes:
    """Returns how to read the times of frames in this container."""
    return PresentationTimes(decoding_only=container.format.name == "avi")


def _why_none(container: av.container.InputContainer, *, unknown_codec: bool) -> str:
    if unknown_codec:
        return "its video codec is not supported by this build of FFmpeg"
    audio = "only audio" if container.streams.audio else ""
    pictures = "attached pictures" if container.streams.video else ""
    held = " and ".join(part for part in (audio, pictures) if part)
    return f"it has no video, {held if audio else 'only ' + held}" if held else ""
