"""Joins a camera's segments to one MP4 file of any time, without re-encoding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any

import av
from av.stream import Stream

from sightd.daemon.capture.packets import parameter_sets
from sightd.daemon.recording.clip_file import MOVFLAGS, MOVFLAGS_WITH_AUDIO
from sightd.daemon.recording.clock import TICKS, TIME_BASE
from sightd.daemon.recording.index import GAP, Clip
from sightd.engines.text import local_time

LONGEST = 86400.0
"""Seconds that a joined file may cover."""
_AT_ONCE = 1 << 18


class JoinError(Exception):
    """The segments cannot be one file; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class _Facts:
    """What must be the same in all segments of a file, a description of each stream; and the first key frame, which
    the segment before may have shown as well."""

    streams: tuple[tuple[str, int, int, bytes], ...]
    first: bytes


class _Buffer:
    """Collects what the muxer writes."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> int:
        self.data += data
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self.data)
        self.data.clear()
        return taken


def joined(folder: Path, segments: Sequence[Clip], since: float, until: float) -> Iterator[bytes]:
    """Yields the pieces of an MP4 file that shows `segments`, oldest first, from the last key frame at or before
    `since` until `until` (s since the epoch). Gaps between them remain; what two segments show is used once.

    Raises JoinError before the first piece if the camera changed its format; OSError or av.FFmpegError if a file cannot
    be read.
    """
    facts = [_facts_of(folder / segment.path) for segment in segments]
    for one, segment in zip(facts, segments, strict=True):
        if one.streams != facts[0].streams:
            raise JoinError(
                f"the camera changed its format at {local_time(segment.begin)}: export what was before and what "
                "follows separately"
            )
    buffer, has_audio = _Buffer(), len(facts[0].streams) > 1
    options = {"movflags": MOVFLAGS_WITH_AUDIO if has_audio else MOVFLAGS}
    ends = [*(one.first for one in facts[1:]), None]
    with av.open(buffer, "w", format="mp4", container_options=options) as output:
        joining = _Joining(output, segments[0].begin, until)
        for segment, end in zip(segments, ends, strict=True):
            with av.open(str(folder / segment.path)) as source:
                for _ in joining.add(source, segment, since, end):
                    if len(buffer.data) >= _AT_ONCE:
                        yield buffer.take()
    yield buffer.take()


def _facts_of(path: Path) -> _Facts:
    with av.open(str(path)) as source:
        video = source.streams.video[0]
        packet = next((packet for packet in source.demux(video) if packet.size), None)
        first = b"" if packet is None else bytes(packet)
        sets = b"" if packet is None else _sets_of(video, packet)
        streams = tuple(_description(stream, sets) for stream in source.streams if stream.type in ("video", "audio"))
    return _Facts(streams, sha256(first).digest())


def _sets_of(video: av.VideoStream, packet: av.Packet[Any]) -> bytes:
    """Returns the parameter sets, each once: cameras repeat them at the beginning of a connection."""
    name = video.codec_context.name
    units = av.BitStreamFilterContext(f"{name}_mp4toannexb", video).filter(packet)
    return parameter_sets(name, b"".join(map(bytes, units)))


def _description(stream: Stream, sets: bytes) -> tuple[str, int, int, bytes]:
    context: Any = stream.codec_context
    if stream.type == "video":
        return context.name, context.width, context.height, sets
    return context.name, context.sample_rate, 0, bytes(context.extradata or b"")


class _Joining:
    """Writes the packets of one segment after the other. Times are in ticks since the first segment's begin."""

    def __init__(self, output: av.container.OutputContainer, begin: float, until: float) -> None:
        self._output, self._begin = output, begin
        self._until = round((until - begin) * TICKS)
        self._streams: dict[int, Stream] = {}
        self._last: dict[int, int] = {}
        self._next = 0
        """When the next segment begins if it follows without a gap."""
        self._origin: int | None = None
        """When the first frame of the file is shown."""

    def add(
        self, source: av.container.InputContainer, segment: Clip, since: float, end: bytes | None
    ) -> Iterator[None]:
        """Writes a segment's packets, from the last key frame at or before `since` (s since the epoch) on, up to the
        key frame whose digest is `end`, with which the next segment begins. Yields after each."""
        video = source.streams.video[0]
        base = round((segment.begin - self._begin) * TICKS)
        if self._next and abs(base - self._next) < GAP * TICKS:
            base = self._next
        shift = base - _first_pts(source, video)
        start = _key_before(source, video, round((since - self._begin) * TICKS) - shift)
        source.seek(0)
        if not self._streams:
            self._open(source)
        for packet in source.demux([stream for stream in source.streams if stream.index in self._streams]):
            if packet.dts is None or packet.pts is None or (start is not None and _ticks(packet, packet.pts) < start):
                continue
            is_key = packet.stream.type == "video" and packet.is_keyframe
            if is_key and end is not None and sha256(bytes(packet)).digest() == end:
                return
            if _ticks(packet, packet.dts) + shift >= self._until:
                return
            self._write(packet, shift)
            yield

    def _open(self, source: av.container.InputContainer) -> None:
        for stream in source.streams:
            if isinstance(stream, av.VideoStream | av.AudioStream):
                copy = self._output.add_stream_from_template(stream)
                if stream.codec_context.name == "hevc":
                    copy.codec_context.codec_tag = "hvc1"
                self._streams[stream.index] = copy
                self._last[stream.index] = -TICKS
        self._output.start_encoding()

    def _write(self, packet: av.Packet[Any], shift: int) -> None:
        index = packet.stream.index
        pts, dts = _ticks(packet, packet.pts or 0) + shift, _ticks(packet, packet.dts or 0) + shift
        if self._origin is None:
            if packet.stream.type == "audio":
                return
            self._origin = pts
        dts = max(dts, self._last[index] + 1)
        duration = _ticks(packet, packet.duration or 0)
        out: av.Packet[Any] = av.Packet(bytes(packet))
        out.pts, out.dts = max(pts, dts) - self._origin, dts - self._origin
        out.duration, out.time_base = duration, TIME_BASE
        out.is_keyframe, out.stream = packet.is_keyframe, self._streams[index]
        self._output.mux(out)
        self._last[index] = dts
        if packet.stream.type == "video":
            self._next = max(self._next, max(pts, dts) + duration)


def _ticks(packet: av.Packet[Any], time: int) -> int:
    return round(time * (packet.time_base or TIME_BASE) * TICKS)


def _pictures(source: av.container.InputContainer, video: av.VideoStream) -> Iterator[tuple[int, bool]]:
    """Yields time in ticks and key of each packet of the video."""
    source.seek(0)
    base = video.time_base or Fraction(1, TICKS)
    for packet in source.demux(video):
        if packet.pts is not None:
            yield round(packet.pts * base * TICKS), packet.is_keyframe


def _first_pts(source: av.container.InputContainer, video: av.VideoStream) -> int:
    return next((pts for pts, _ in _pictures(source, video)), 0)


def _key_before(source: av.container.InputContainer, video: av.VideoStream, at: int) -> int | None:
    """Returns the last key frame at or before a time, if any."""
    return max((pts for pts, key in _pictures(source, video) if key and pts <= at), default=None)
