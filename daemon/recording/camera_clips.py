"""The clips of one camera: which events share one, when it ends, and what happens if it cannot be written."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import av

from sightd.daemon.capture.packets import ReceivedPacket
from sightd.daemon.config.model import ClipRules
from sightd.daemon.recording.clip_file import ClipFile, UnplayableError
from sightd.daemon.recording.index import ClipIndexError
from sightd.daemon.recording.store import ClipStore
from sightd.daemon.recording.tap import PacketTap

log = logging.getLogger(__name__)

FAULTS = (OSError, av.FFmpegError, ClipIndexError, UnplayableError)
"""What may go wrong while a clip is written."""
_MOST_LATER = 1000
"""Events that wait for their clip."""
_SILENCE = 1.0
"""Seconds after the end of a clip in which its last packet may still arrive."""
_REPORTED = 60.0
"""Seconds for which a fault of the stream is reported; one of the disk is reported as long as it lasts."""


class ClipObserver(Protocol):
    """Counts for metrics."""

    def written(self, size: int) -> None: ...

    def failed(self) -> None: ...


def matches(kind: str, patterns: list[str]) -> bool:
    """Returns whether an event's kind is among `patterns`, which may end in ".*"."""
    return any(kind == one or (one.endswith(".*") and kind.startswith(one[:-1])) for one in patterns)


@dataclass(slots=True)
class Window:
    """What a clip shows: up to `end`, at the latest to `last`; monotonic s. `events` are ids."""

    end: float
    last: float
    events: list[int]

    def extend(self, event: int, at: float, post: float) -> bool:
        """Adds an event that happened within the clip. Returns False if it happened later."""
        if at > self.end:
            return False
        self.events.append(event)
        self.end = min(self.last, max(self.end, at + post))
        return True


@dataclass(frozen=True, slots=True)
class _Fault:
    """Why a clip was not written: because of the disk, or of the stream. `at` is in monotonic s."""

    message: str
    of_disk: bool
    at: float


@dataclass(slots=True)
class _Written:
    """A clip that is being written; times of its first and newest packet in monotonic s, `begin` in s since the
    epoch."""

    number: int
    file: ClipFile
    path: str
    begin: float
    first: float
    newest: float


class CameraClips:
    """Writes a camera's clips; used by one thread. A fault ends one clip and no more: `fault` says what happened as
    long as its cause lasts."""

    def __init__(
        self,
        camera: str,
        rules: ClipRules,
        tap: PacketTap,
        observer: ClipObserver,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.camera, self.rules, self.tap = camera, rules, tap
        self._observer, self._clock, self._wall = observer, clock, wall
        self._window: Window | None = None
        self._written: _Written | None = None
        self._later: list[tuple[int, float]] = []
        self._codec = ""
        self._fault: _Fault | None = None

    @property
    def fault(self) -> str | None:
        """Why no clip could be written, unless that is over; from any thread."""
        return None if (fault := self._fault) is None else fault.message

    @property
    def in_progress(self) -> int:
        """Bytes of the clip that is being written."""
        return 0 if self._written is None else self._written.file.size

    def event(self, event: int, at: float) -> None:
        """Records that something happened, `at` in s since the epoch."""
        moment = min(self._clock(), self._clock() - (self._wall() - at))
        if self._window is None or not self._window.extend(event, moment, self.rules.post):
            self._later.append((event, moment))
            del self._later[:-_MOST_LATER]  # the folder cannot be used

    def step(self, store: ClipStore) -> None:
        """Writes what has arrived. Call it several times a second."""
        try:
            if self._window is None:
                self._begin(store)
            if self._window is not None:
                self._write(self._window, store)
        except Exception as error:  # noqa: BLE001 - one camera's fault must not keep the others from being recorded
            self._fail(error, store)

    def recover(self, store: ClipStore) -> None:
        """Ends `fault` if its cause is over: the disk can be written again, or the stream failed a minute ago."""
        if self._fault is None:
            return
        try:
            if self._fault.of_disk:
                store.check(self.camera)
            elif self._clock() - self._fault.at < _REPORTED:
                return
        except (OSError, ClipIndexError):
            return  # it is reported already
        self._fault = None
        log.info("camera %s: clips can be written again", self.camera, extra={"camera": self.camera})

    def close(self, store: ClipStore) -> None:
        """Finishes the clip that is being written, at what has arrived."""
        try:
            if self._window is not None:
                self._write(self._window, store)
            self._finish(store)
        except Exception as error:  # noqa: BLE001 - one camera's fault must not keep the others from being recorded
            self._fail(error, store)
        self._end()

    def _begin(self, store: ClipStore) -> None:
        if not self._later:
            return
        event, at = self._later.pop(0)
        begin = at - self.rules.pre
        codec = self.tap.begin(begin)
        if codec is None:
            self._miss("the camera sent nothing that can be recorded")
            return
        if not store.has_room() and not store.make_room():
            self.tap.end()
            raise OSError(f"less than recording.clips.min_free is free on the disk of {store.folder}")
        self._codec = codec
        last = begin + max(self.rules.max_length, self.rules.pre)
        self._window = Window(min(last, at + self.rules.post), last, [event])
        self._later = [one for one in self._later if not self._window.extend(*one, self.rules.post)]

    def _write(self, window: Window, store: ClipStore) -> None:
        taken = self.tap.take()
        for place, packet in enumerate(taken.packets):
            if packet.received_at > window.end:
                self._complete(store)
                return
            if self._written is not None and not self._written.file.fits(packet):
                self._finish(store)
            if self._written is None:
                if not packet.key:
                    continue
                self._written = self._opened(window, list(taken.packets[place:]), store)
            self._written.file.write(packet)
            self._written.newest = packet.received_at
        if taken.over or self._clock() > window.end + _SILENCE:
            self._complete(store)

    def _opened(self, window: Window, packets: list[ReceivedPacket], store: ClipStore) -> _Written:
        first = packets[0].received_at
        begin = self._wall() - (self._clock() - first)
        stamp = time.strftime("%Y-%m-%dT%H-%M-%S", time.gmtime(begin))
        number, path = store.index.begin(self.camera, begin, f"{self.camera}/{stamp}", self._codec, window.events)
        try:
            file = ClipFile(store.folder / path, self._codec, packets, store.make_room)
        except BaseException:
            store.index.remove(number)
            raise
        return _Written(number, file, path, begin, first, first)

    def _complete(self, store: ClipStore) -> None:
        if self._written is None:
            self._miss("no key frame arrived in time")
        self._finish(store)
        self._end()

    def _finish(self, store: ClipStore) -> None:
        written = self._written
        if written is None or self._window is None:
            return
        written.file.finish()
        self._written = None
        end = written.begin + written.newest - written.first
        store.index.finish(written.number, end, written.file.size, self._window.events)
        self._observer.written(written.file.size)
        self._fault = None
        log.info("camera %s: clip %d, %.1f s, %d events", self.camera, written.number, end - written.begin,
                 len(self._window.events), extra={"camera": self.camera})  # fmt: skip

    def _end(self) -> None:
        self.tap.end()
        self._window = self._written = None

    def _miss(self, why: str) -> None:
        self._observer.failed()
        log.warning("camera %s: no clip of an event: %s", self.camera, why, extra={"camera": self.camera})

    def _fail(self, error: Exception, store: ClipStore) -> None:
        """Ends a clip that cannot be written; what is on the disk is kept if it can be played."""
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        message = f"clips of camera {self.camera} cannot be written: {reason}"
        of_disk = isinstance(error, OSError | ClipIndexError)
        self._fault = _Fault(message, of_disk, self._clock())
        self._observer.failed()
        expected = isinstance(error, FAULTS)
        log.error("%s", message, extra={"camera": self.camera}, exc_info=None if expected else error)
        written = self._written
        self._end()
        if written is None:
            return
        try:
            written.file.abandon()
            store.salvage(written.number, written.begin, written.path)
        except Exception:  # noqa: BLE001 - as above
            log.warning("clip %s is repaired at the next start", written.path)
