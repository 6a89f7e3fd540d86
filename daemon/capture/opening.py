"""Opens a source with the appropriate reader."""

from __future__ import annotations

import logging

from sightd.daemon.capture.gst import GStreamerError
from sightd.daemon.capture.http_camera import open_web
from sightd.daemon.capture.rtsp import RtspCapture
from sightd.daemon.capture.rtsp_dialogue import UnreadableCodecError
from sightd.daemon.capture.source import Source, SourceKind
from sightd.daemon.capture.stream import AvStream, PatternStream, Playback, Stream

_log = logging.getLogger(__name__)


def open_stream(source: Source, playback: Playback, limit: float | None = None) -> Stream:
    """Opens `source`; blocks for about `limit` s at most (None: for as long as it takes; for sources without a limit).

    Raises SourceError, or what PyAV and sockets raise; see `errors.fault_of`.
    """
    if source.kind is SourceKind.PATTERN:
        return PatternStream(source, playback)
    if source.kind is SourceKind.HTTP:
        return open_web(source, playback, limit)
    if source.kind is SourceKind.RTSP and limit is not None:
        try:
            return RtspCapture(source, playback, limit)
        except UnreadableCodecError as error:
            _by_ffmpeg(source, error.detail)
        except GStreamerError as error:
            _by_ffmpeg(source, str(error))
    return AvStream(source, playback, limit)


def _by_ffmpeg(source: Source, why: str) -> None:
    _log.warning("using FFmpeg for %s, which adds a delay of one frame interval: %s", source.label, why)
