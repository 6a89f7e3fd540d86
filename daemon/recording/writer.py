"""Writes a camera's packets to one file after the other, and reports what keeps it from doing so."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import av

from sightd.daemon.capture.audio import AudioFormat
from sightd.daemon.capture.packets import ReceivedPacket
from sightd.daemon.recording.audio_track import stored_codec
from sightd.daemon.recording.clip_file import ClipFile, StreamTemplate, UnplayableError
from sightd.daemon.recording.index import ClipIndexError, Kind
from sightd.daemon.recording.store import ClipStore

log = logging.getLogger(__name__)

FAULTS = (OSError, av.FFmpegError, ClipIndexError, UnplayableError)
"""What may go wrong while a recording is written."""
_REPORTED = 60.0
"""Seconds for which a fault of the stream is reported; one of the disk is reported as long as it lasts."""
_MOST_MEASURED = 100
"""Packets that show whether a stream reorders frames."""


class RecordingObserver(Protocol):
    """Counts for metrics."""

    def written(self, kind: Kind, size: int) -> None: ...

    def failed(self, kind: Kind) -> None: ...


@dataclass(frozen=True, slots=True)
class _Fault:
    """Why something was not written: because of the disk, or of the stream. `at` is in monotonic s."""

    message: str
    of_disk: bool
    at: float


@dataclass(slots=True)
class _Written:
    """A file that is being written; times of its first and newest packet in monotonic s, `begin` in s since the
    epoch."""

    number: int
    file: ClipFile
    path: str
    begin: float
    first: float
    newest: float


class FileWriter:
    """The files of one kind of a camera; used by one thread. Unless it says otherwise, a method may raise one of
    `FAULTS`, which `fail` must be given."""

    def __init__(
        self,
        camera: str,
        kind: Kind,
        observer: RecordingObserver,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.camera, self.kind, self.clock, self.wall = camera, kind, clock, wall
        self._observer = observer
        self._template: StreamTemplate | None = None
        self._written: _Written | None = None
        self._fault: _Fault | None = None

    @property
    def fault(self) -> str | None:
        """Why nothing could be written, unless that is over; from any thread."""
        return None if (fault := self._fault) is None else fault.message

    @property
    def size(self) -> int:
        """Bytes of the file that is being written."""
        return 0 if self._written is None else self._written.file.size

    @property
    def length(self) -> float | None:
        """Seconds that the file shows so far; None if none is being written."""
        return None if self._written is None else self._written.newest - self._written.first

    def fits(self, packet: ReceivedPacket) -> bool:
        """Returns whether the packet can be decoded in the file that is being written."""
        return self._written is None or self._written.file.fits(packet)

    def wall_of(self, at: float) -> float:
        """Converts monotonic s to s since the epoch."""
        return self.wall() - (self.clock() - at)

    def begin(
        self,
        streams: tuple[str, AudioFormat | None],
        packets: Sequence[ReceivedPacket],
        events: Sequence[int],
        store: ClipStore,
        reordered: int = 0,
    ) -> None:
        """Creates a file for `packets`, the first of which is a key frame, and what follows them. `streams` are the
        codec of the video and the format of the audio, if any; `reordered` is the least number of frames that the
        stream reorders."""
        (codec, audio), first = streams, packets[0].received_at
        sound, template = None if audio is None else stored_codec(audio), self._template_of(codec, packets[0].data)
        begin = self.wall_of(first)
        stamp = time.strftime("%Y-%m-%dT%H-%M-%S", time.gmtime(begin))
        stem = f"{self.camera}/{stamp}"
        number, path = store.index.begin(self.camera, begin, stem, codec, events, self.kind, sound)
        try:
            file = ClipFile(store.folder / path, template, packets[:_MOST_MEASURED], store.make_room, reordered, audio)
        except BaseException:
            store.index.remove(number)
            raise
        self._written = _Written(number, file, path, begin, first, first)

    def _template_of(self, codec: str, key_frame: bytes) -> StreamTemplate:
        if self._template is None or not self._template.fits(codec, key_frame):
            self._template = StreamTemplate(codec, key_frame)
        return self._template

    def write(self, packet: ReceivedPacket) -> None:
        assert self._written is not None, "begin comes first"
        self._written.file.write(packet)
        if not packet.audio:
            self._written.newest = packet.received_at

    def finish(self, events: Sequence[int], store: ClipStore) -> int:
        """Completes the file, if one is being written. Returns how many frames its stream reorders."""
        written = self._written
        if written is None:
            return 0
        written.file.finish()
        self._written = None
        end = written.begin + written.newest - written.first
        store.index.finish(written.number, end, written.file.size, events)
        self._observer.written(self.kind, written.file.size)
        self._fault = None
        level = logging.INFO if self.kind == "clip" else logging.DEBUG
        log.log(level, "camera %s: %s %d, %.1f s, %d events", self.camera, self.kind, written.number,
                end - written.begin, len(events), extra={"camera": self.camera})  # fmt: skip
        return written.file.reordered

    def miss(self, why: str) -> None:
        """Reports that something is not recorded."""
        self._observer.failed(self.kind)
        log.warning("camera %s: no %s: %s", self.camera, self.kind, why, extra={"camera": self.camera})

    def fail(self, error: Exception, store: ClipStore) -> None:
        """Ends a file that cannot be written; what is on the disk is kept if it can be played. Never raises."""
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        message = f"{self.kind}s of camera {self.camera} cannot be written: {reason}"
        again = self._fault is not None and self._fault.message == message
        self._fault = _Fault(message, isinstance(error, OSError | ClipIndexError), self.clock())
        self._observer.failed(self.kind)
        if not again:
            expected = isinstance(error, FAULTS)
            log.error("%s", message, extra={"camera": self.camera}, exc_info=None if expected else error)
        written, self._written = self._written, None
        if written is None:
            return
        try:
            written.file.abandon()
            store.salvage(written.number, written.begin, written.path)
        except Exception:  # noqa: BLE001 - one camera's fault must not keep the others from being recorded
            log.warning("%s is repaired at the next start", written.path)

    def recover(self, store: ClipStore) -> None:
        """Ends `fault` if its cause is over: the disk can be written again, or the stream failed a minute ago. Never
        raises one of `FAULTS`."""
        if self._fault is None:
            return
        try:
            if self._fault.of_disk:
                store.check(self.camera)
            elif self.clock() - self._fault.at < _REPORTED:
                return
        except FAULTS:
            return  # it is reported already
        self._fault = None
        log.info("camera %s: %ss can be written again", self.camera, self.kind, extra={"camera": self.camera})
