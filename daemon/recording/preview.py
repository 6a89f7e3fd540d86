"""Single pictures of stored segments, as small JPEG files, to look for a time in a recording."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from sightd.daemon.encode.encoder import encode_jpeg
from sightd.daemon.recording.index import Clip
from sightd.plugins.api import Image

MIN_WIDTH, MAX_WIDTH = 64, 1280
"""Pixels that a preview may be wide."""
_QUALITY = 75
_PATIENCE = 3.0
"""Seconds that opening a file and reading from it may take, each."""
_MOST_PACKETS = 50
"""Packets that are read at most: the first one is a key frame, unless the file is damaged."""


class PreviewError(Exception):
    """There is no picture; the message says why."""


@dataclass(frozen=True, slots=True)
class Preview:
    """A JPEG file, and when its frame was recorded, in seconds since the epoch."""

    jpeg: bytes
    at: float


def preview(folder: Path, segment: Clip, at: float, width: int) -> Preview:
    """Returns the last key frame at or before `at` (s since the epoch) of a segment below `folder`, or its first one;
    at most `width` pixels wide. Decodes that one frame. Raises PreviewError if the file cannot be read."""
    try:
        with av.open(str(folder / segment.path), timeout=_PATIENCE) as source:
            return _decoded(source, segment, at, width)
    except (OSError, av.FFmpegError, IndexError) as error:  # IndexError: the file has no video
        raise PreviewError(f"Recording {segment.id} cannot be read") from error


def _decoded(source: av.container.InputContainer, segment: Clip, at: float, width: int) -> Preview:
    video = source.streams.video[0]
    base = video.time_base
    assert base is not None
    first = video.start_time or 0
    source.seek(first + round(max(0.0, at - segment.begin) / base), stream=video)
    context = video.codec_context
    context.thread_count = 1  # one frame: threads would only cost memory
    for number, packet in enumerate(source.demux(video)):
        for frame in context.decode(packet if packet.size else None):
            found = 0.0 if frame.pts is None else float((frame.pts - first) * base)
            return Preview(encode_jpeg(_scaled(frame, width), _QUALITY), segment.begin + found)
        if number >= _MOST_PACKETS:
            break
    raise PreviewError(f"Recording {segment.id} has no picture that can be decoded")


def _scaled(frame: av.VideoFrame, width: int) -> Image:
    """Returns BGR, uint8 [height, width, 3], at most `width` wide and at least 1 high."""
    width = min(width, frame.width)
    height = max(1, round(frame.height * width / frame.width))
    return frame.to_ndarray(width=width, height=height, format="bgr24").astype(np.uint8, copy=False)
