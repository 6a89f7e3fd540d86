"""Opens a source with what reads its kind."""

from __future__ import annotations

from daemon.capture.http_camera import open_web
from daemon.capture.source import Kind, Source
from daemon.capture.stream import AvStream, PatternStream, Playback, Stream


def open_stream(source: Source, playback: Playback, limit: float | None = None) -> Stream:
    """Opens `source`; blocks up to about `limit` s, by default twice its timeout.

    Raises SourceError, or what PyAV and sockets raise; see `errors.fault_of`.
    """
    if source.kind is Kind.PATTERN:
        return PatternStream(source, playback)
    if source.kind is Kind.HTTP:
        return open_web(source, playback, limit)
    return AvStream(source, playback)
