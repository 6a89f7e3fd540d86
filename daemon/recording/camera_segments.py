"""The segments of one camera: files of equal length without a gap, always or during activity."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from sightd.daemon.capture.packets import ReceivedPacket
from sightd.daemon.config.model import Segments
from sightd.daemon.recording.camera_clips import SILENCE
from sightd.daemon.recording.store import ClipStore
from sightd.daemon.recording.tap import PacketTap, TapReader
from sightd.daemon.recording.writer import FileWriter

_MOST_EVENTS = 1000
"""Newest events that are kept for segments that begin later."""
_RETRY = 5.0
"""Seconds after a fault before the next attempt."""
_MEASURED = 0.5
"""Seconds of packets of a new connection that show whether it reorders frames."""
_EVER = float("inf")


class CameraSegments:
    """Writes a camera's segments with `writer`; used by one thread. They cover the time from `_since` to `_until`, in
    monotonic s, as far as packets arrive; in the mode continuous that is all time."""

    def __init__(self, options: Segments, tap: PacketTap, writer: FileWriter) -> None:
        self.writer, self.options, self._tap = writer, options, tap
        continuous = options.mode == "continuous"
        self._since, self._until = (-_EVER, _EVER) if continuous else (_EVER, -_EVER)
        self._events: deque[tuple[int, float]] = deque(maxlen=_MOST_EVENTS)
        self._new_events: deque[tuple[int, float]] = deque(maxlen=_MOST_EVENTS)
        self._reader: TapReader | None = None
        self._newest = -_EVER
        self._reordered = self._ended = self._seen = 0
        self._seen_at = -_EVER
        self._retry_at = -_EVER

    def event(self, event: int, at: float) -> None:
        """Records that something happened, `at` in s since the epoch."""
        self._new_events.append((event, at))
        if self.options.mode == "continuous":
            return
        now = self.writer.clock()
        moment = min(now, now - (self.writer.wall() - at))
        if self._reader is None:
            self._since = min(self._since, moment - self.options.pre)
        self._until = max(self._until, moment + self.options.post)

    def step(self, store: ClipStore) -> None:
        """Writes what has arrived. Call it several times a second."""
        if self.writer.clock() < self._retry_at:
            return
        try:
            self._add_events(store)
            if self._reader is None:
                self._begin(store)
            if self._reader is not None:
                self._write(self._reader, store)
        except Exception as error:  # noqa: BLE001 - one camera's fault must not keep the others from being recorded
            self._retry_at = self.writer.clock() + _RETRY
            self.writer.fail(error, store)
            self._end()

    def close(self, store: ClipStore) -> None:
        """Finishes the segment that is being written, at what has arrived."""
        try:
            self._add_events(store)
            if self._reader is not None:
                self._write(self._reader, store)
            self.writer.finish((), store)
        except Exception as error:  # noqa: BLE001 - one camera's fault must not keep the others from being recorded
            self.writer.fail(error, store)
        self._end()

    def _begin(self, store: ClipStore) -> None:
        if self.writer.clock() > self._until + SILENCE:
            self._since = _EVER  # nothing came in that time
        if self._since == _EVER or self._tap.connection == self._ended or not self._measured():
            return
        reader = self._tap.begin(max(self._since, self._newest))
        if reader is None:
            return
        self._reader, self._reordered = reader, 0
        store.require_room()

    def _measured(self) -> bool:
        """Returns whether enough packets of a connection have arrived to see how it orders frames."""
        if self._tap.connection != self._seen:
            self._seen, self._seen_at = self._tap.connection, self.writer.clock()
        return self.writer.clock() - self._seen_at >= _MEASURED

    def _write(self, reader: TapReader, store: ClipStore) -> None:
        taken = reader.take()
        for place, packet in enumerate(taken.packets):
            if packet.received_at > self._until:
                self._complete(store)
                return
            if packet.key and self._is_complete(packet):
                self._reordered = self.writer.finish((), store)
            if self.writer.length is None:
                if not packet.key:
                    continue
                self._open(reader, taken.packets[place:], store)
            self.writer.write(packet)
            self._newest = packet.received_at
        if taken.over:
            self._ended = reader.connection
            self._complete(store)
        elif self.writer.clock() > self._until + SILENCE:
            self._complete(store)

    def _is_complete(self, key_frame: ReceivedPacket) -> bool:
        length = self.writer.length
        return length is not None and (length >= self.options.length or not self.writer.fits(key_frame))

    def _open(self, reader: TapReader, packets: Sequence[ReceivedPacket], store: ClipStore) -> None:
        begin = self.writer.wall_of(packets[0].received_at)
        events = [event for event, at in self._events if at >= begin]
        self.writer.begin((reader.codec, reader.audio), packets, events, store, self._reordered)

    def _add_events(self, store: ClipStore) -> None:
        """Adds new events to the segment of their time, or keeps them for the one that will show them."""
        while self._new_events:
            event, at = self._new_events[0]
            store.index.add_event(self.writer.camera, event, at)
            self._events.append(self._new_events.popleft())

    def _complete(self, store: ClipStore) -> None:
        self.writer.finish((), store)
        self._end()
        if self.options.mode == "activity" and self.writer.clock() > self._until:
            self._since = _EVER

    def _end(self) -> None:
        if self._reader is not None:
            self._tap.end(self._reader)
        self._reader = None
