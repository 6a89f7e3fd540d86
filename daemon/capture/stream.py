"""Open sources: frames as they arrive, with the time of their arrival, and the video stream of a container."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Protocol

import av
from av.format import Flags
from av.stream import Disposition

from sightd.daemon.capture.decoding import CpuDecoding, DecodedFrame, Decoding, GpuDecoding, annex_b_of
from sightd.daemon.capture.errors import Reason, SourceError, resolves
from sightd.daemon.capture.pacing import Pacer, PresentationTimes, Timeline
from sightd.daemon.capture.packets import ContainerPackets, PacketObserver, recordable_audio
from sightd.daemon.capture.picture import MOST_PIXELS
from sightd.daemon.capture.rtsp_login import LoginMemory
from sightd.daemon.config.model import Deinterlace
from sightd.daemon.config.source import Source, SourceKind
from sightd.engines.cuda.nvdec import Nvdec
from sightd.engines.files import require_regular


@dataclass(frozen=True, slots=True)
class Clock:
    """`monotonic` for ages and timeouts, `wall` for times that people read; both return seconds."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


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


av.logging.set_level(None)  # FFmpeg's own messages contain addresses with their passwords

_USUAL_RATE = 25
_BURSTY_FORMATS = frozenset({"hls"})
"""Formats that deliver a live stream in bursts of seconds: they are played in real time, like a recording."""


class Gap(Enum):
    """What a stream yields instead of a frame."""

    NOTHING = "a packet that produced no frame"
    DAMAGED = "a packet that could not be decoded"


@dataclass(frozen=True, slots=True)
class Playback:
    """What persists from one opening of a source to the next: its clocks, its timeline, how to wait, the type of its
    RTSP login, the GPU decoder (None: the CPU decodes), and the observer of received packets, if any.

    `wait(seconds)` sleeps; it returns early, with a true value, once the feed is stopped.
    """

    clock: Clock
    wait: Callable[[float], object]
    pacer: Pacer = field(default_factory=Pacer)
    timeline: Timeline = field(default_factory=Timeline)
    login: LoginMemory = field(default_factory=LoginMemory)
    nvdec: Nvdec | None = None
    packets: PacketObserver | None = None


class Stream(Protocol):
    """An open source, used by one thread. `recorded`: it has an end, which is not a fault. `interval`: normal seconds
    between two frames, which are added to the timeouts."""

    recorded: bool
    interval: float

    def frames(self) -> Iterator[DecodedFrame | Gap]:
        """Yields frames as they arrive; blocks up to the source's timeout. Raises what PyAV raises; see
        `errors.fault_of`."""
        ...

    def close(self) -> None: ...


class AvStream:
    """A source that FFmpeg reads, and FFmpeg or NVDEC decodes."""

    interval = 0.0

    def __init__(
        self,
        source: Source,
        playback: Playback,
        limit: float | None = None,
        *,
        container: av.container.InputContainer | None = None,
        recorded: bool | None = None,
    ) -> None:
        """Opens the source within `limit` s (None: no limit), unless it is already open as `container`, which this
        object will close. `recorded` overrides what the source says."""
        self._playback = playback
        self._container = _open(source, playback.clock, limit) if container is None else container
        try:
            self._video = video_of(self._container)
            self._video.thread_type = "NONE"
            self._decoding = self._decoding_of(playback.nvdec, source.deinterlace)
        except BaseException:
            self._container.close()
            raise
        self.recorded = source.paced if recorded is None else recorded
        self._timed = not Flags(self._container.format.flags) & Flags.no_timestamps
        self._paced = self.recorded or self._container.format.name in _BURSTY_FORMATS
        rate = self._video.guessed_rate or self._video.average_rate or _USUAL_RATE
        self._interval = 1 / float(rate)
        playback.timeline.new_play()
        observer = playback.packets
        self._audio = recordable_audio(self._container, observer)
        self._packets = (
            None if observer is None else ContainerPackets(observer, self._video, self._audio, timed=self._timed)
        )

    def frames(self) -> Iterator[DecodedFrame | Gap]:
        clock = self._playback.clock
        packets = self._container.demux([self._video] if self._audio is None else [self._video, self._audio])
        try:
            for packet in packets:
                arrival = (clock.monotonic(), clock.wall())
                if self._packets is not None:
                    self._packets.received(packet, arrival[0])
                if packet.stream is not self._video:
                    continue
                try:
                    frames = self._decoding.decode(packet)
                except (av.error.InvalidDataError, av.error.PatchWelcomeError, av.error.ArgumentError):
                    yield Gap.DAMAGED
                    continue
                if not frames:
                    yield Gap.NOTHING
                for frame in frames:
                    yield self._captured(frame, arrival)
        finally:
            packets.close()  # type: ignore[attr-defined]  # a generator, whatever its stub says

    def close(self) -> None:
        try:
            self._decoding.close()
        finally:
            self._container.close()

    def _decoding_of(self, nvdec: Nvdec | None, deinterlace: Deinterlace) -> Decoding:
        video, times = self._video, presentation_times(self._container)
        if nvdec is not None:
            return GpuDecoding(nvdec, video.codec_context, video.sample_aspect_ratio, times, annex_b_of(video))
        return CpuDecoding(video.codec_context, video.sample_aspect_ratio, deinterlace, times)

    def _captured(self, frame: DecodedFrame, arrival: tuple[float, float]) -> DecodedFrame:
        pts = frame.pts
        if self._paced:
            position = self._playback.timeline.place(pts, self._interval)
            pts = position if self.recorded else pts
            arrival = self._when_due(position)
        elif not self._timed:
            pts = None  # FFmpeg counts frames, which does not say when they were captured
        captured_at, wall_time = arrival
        return replace(frame, captured_at=captured_at, wall_time=wall_time, pts=pts)

    def _when_due(self, position: float) -> tuple[float, float]:
        """Waits until the frame at `position` is due, and returns that time as its capture time (monotonic s, s since
        the epoch)."""
        clock = self._playback.clock
        wait = self._playback.pacer.wait(position, clock.monotonic())
        if wait > 0:
            self._playback.wait(wait)
        return clock.monotonic(), clock.wall()


def _open(source: Source, clock: Clock, limit: float | None) -> av.container.InputContainer:
    began = clock.monotonic()
    if source.kind is SourceKind.FILE:
        _require_file(Path(source.address.removeprefix("file:")))
    try:
        return av.open(
            source.address,
            format=source.format,
            options=dict(source.options),
            timeout=None if source.timeout is None else (limit, source.timeout),
        )
    except av.error.PermissionError:
        if source.kind is SourceKind.DEVICE:
            raise SourceError(Reason.NOT_READABLE, "permission denied") from None
        raise
    except av.error.OSError as failure:
        if failure.errno == errno.EIO and source.kind is SourceKind.RTSP and not resolves(source.address):
            raise SourceError(Reason.NAME_NOT_RESOLVED) from None
        raise
    except av.error.InvalidDataError:
        # RTSP sources report this even if the timeout interrupted their opening.
        timed_out = limit is not None and clock.monotonic() - began >= limit
        raise SourceError(Reason.TIMEOUT if timed_out else Reason.NO_VIDEO) from None


def _require_file(path: Path) -> None:
    """Raises SourceError if the file is missing, or if FFmpeg would wait forever for it: a named pipe, a device or a
    socket."""
    try:
        require_regular(path)
    except (FileNotFoundError, NotADirectoryError):
        raise SourceError(Reason.NOT_FOUND) from None
    except OSError as failure:
        raise SourceError(Reason.NOT_READABLE, failure.strerror or "") from None
