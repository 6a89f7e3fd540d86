"""The clips of one camera: which events share one, and when it ends."""

from __future__ import annotations

from dataclasses import dataclass

from sightd.daemon.config.model import Clips
from sightd.daemon.recording.store import ClipStore
from sightd.daemon.recording.tap import PacketTap, TapReader
from sightd.daemon.recording.writer import FileWriter

_MOST_LATER = 1000
"""Events that wait for their clip."""
SILENCE = 1.0
"""Seconds after the end of a recording in which its last packet may still arrive."""


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


class CameraClips:
    """Writes a camera's clips with `writer`; used by one thread. A fault ends one clip and no more."""

    def __init__(self, options: Clips, tap: PacketTap, writer: FileWriter) -> None:
        self.writer, self.options, self._tap = writer, options, tap
        self._window: Window | None = None
        self._reader: TapReader | None = None
        self._later: list[tuple[int, float]] = []

    def event(self, event: int, at: float) -> None:
        """Records that something happened, `at` in s since the epoch."""
        now = self.writer.clock()
        moment = min(now, now - (self.writer.wall() - at))
        if self._window is None or not self._window.extend(event, moment, self.options.post):
            self._later.append((event, moment))
            del self._later[:-_MOST_LATER]  # the folder cannot be used

    def awaits(self, event: int) -> bool:
        """Returns whether the clip of an event is not finished; from any thread."""
        window = self._window
        waiting = [one for one, _ in list(self._later)]
        return event in waiting or (window is not None and event in window.events)

    def step(self, store: ClipStore) -> None:
        """Writes what has arrived. Call it several times a second."""
        try:
            if self._window is None:
                self._begin(store)
            if self._window is not None and self._reader is not None:
                self._write(self._window, self._reader, store)
        except Exception as error:  # noqa: BLE001 - one camera's fault must not keep the others from being recorded
            self.writer.fail(error, store)
            self._end()

    def close(self, store: ClipStore) -> None:
        """Finishes the clip that is being written, at what has arrived."""
        try:
            if self._window is not None and self._reader is not None:
                self._write(self._window, self._reader, store)
            self._finish(store)
        except Exception as error:  # noqa: BLE001 - one camera's fault must not keep the others from being recorded
            self.writer.fail(error, store)
        self._end()

    def _begin(self, store: ClipStore) -> None:
        if not self._later:
            return
        event, at = self._later.pop(0)
        begin = at - self.options.pre
        reader = self._tap.begin(begin)
        if reader is None:
            self.writer.miss("the camera sent nothing that can be recorded")
            return
        self._reader = reader
        store.require_room()
        last = begin + max(self.options.max_length, self.options.pre)
        self._window = Window(min(last, at + self.options.post), last, [event])
        self._later = [one for one in self._later if not self._window.extend(*one, self.options.post)]

    def _write(self, window: Window, reader: TapReader, store: ClipStore) -> None:
        taken = reader.take()
        for place, packet in enumerate(taken.packets):
            if packet.received_at > window.end:
                self._complete(store)
                return
            if not self.writer.fits(packet):
                self._finish(store)
            if self.writer.length is None:
                if not packet.key:
                    continue
                self.writer.begin((reader.codec, reader.audio), list(taken.packets[place:]), window.events, store)
            self.writer.write(packet)
        if taken.over or self.writer.clock() > window.end + SILENCE:
            self._complete(store)

    def _complete(self, store: ClipStore) -> None:
        if self.writer.length is None:
            self.writer.miss("no key frame arrived in time")
        self._finish(store)
        self._end()

    def _finish(self, store: ClipStore) -> None:
        self.writer.finish(() if self._window is None else self._window.events, store)

    def _end(self) -> None:
        if self._reader is not None:
            self._tap.end(self._reader)
        self._window = self._reader = None
