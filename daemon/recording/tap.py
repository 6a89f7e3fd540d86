"""Observes one camera's packets, as received or as viewers get them: keeps the newest in memory, and hands them to
what is being written."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from sightd.daemon.capture.audio import AudioFormat
from sightd.daemon.capture.packets import RECORDABLE, ReceivedPacket
from sightd.daemon.encode.encoder import Packet
from sightd.daemon.recording.ring import PacketRing

_LONGEST_GROUP = 5.0
"""Seconds between two key frames of what viewers get, at most, while it is recorded."""


class TapObserver(Protocol):
    """Counts for metrics; called from any thread."""

    def buffered(self, size: int) -> None: ...

    def lost(self, packets: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Taken:
    """Packets that arrived since the last call. `over`: the connection they belong to has ended."""

    packets: Sequence[ReceivedPacket]
    over: bool


class PacketTap:
    """A `PacketObserver`. One thread writes, the feed's or the output's, and never waits; one other thread reads, with
    any number of readers. Bounded: `most_bytes` for the ring, and the same again for packets that wait for the disk,
    which are mostly those of the ring."""

    def __init__(
        self,
        seconds: float,
        most_bytes: int,
        observer: TapObserver,
        refused: Callable[[str], None] = lambda codec: None,
        *,
        audio: bool = False,
    ) -> None:
        """Keeps the last `seconds`, with `audio` if there is any. `refused` is called with the name of a codec that
        cannot be recorded."""
        self.wants_audio = audio
        self._ring = PacketRing(seconds, most_bytes)
        self._most_bytes, self._observer, self._refused = most_bytes, observer, refused
        self._lock = threading.Lock()
        self._readers: list[TapReader] = []
        self._open = False
        self._codec = ""
        self._audio: AudioFormat | None = None
        self._connection = 0

    def stream_opened(self, codec: str, audio: AudioFormat | None = None) -> None:
        with self._lock:
            self._ring.clear()
            for reader in self._readers:
                reader.over = True
            self._open, self._codec, self._audio = True, codec, audio
            self._connection += 1
        self._observer.buffered(0)
        if codec not in RECORDABLE:
            self._refused(codec)

    def packet_received(self, packet: ReceivedPacket) -> None:
        lost = 0
        with self._lock:
            self._ring.add(packet)
            for reader in self._readers:
                lost += reader.pass_on(packet, self._most_bytes)
            size = self._ring.bytes
        self._observer.buffered(size)
        if lost:
            self._observer.lost(lost)

    def stream_closed(self) -> None:
        with self._lock:
            self._open = False
            for reader in self._readers:
                reader.over = True

    @property
    def unrecordable(self) -> str | None:
        """The codec that the camera sends, if it cannot be recorded."""
        with self._lock:
            return self._codec if self._codec and self._codec not in RECORDABLE else None

    @property
    def connection(self) -> int:
        """Number of the connection that packets belong to; 0 before the first."""
        return self._connection

    def begin(self, at: float) -> TapReader | None:
        """Returns a reader of the packets from the last key frame at or before `at` (monotonic s) on; None if there is
        nothing to record. `end` must follow."""
        with self._lock:
            packets = self._ring.since(at)
            if self._codec not in RECORDABLE or not (packets or self._open):
                return None
            reader = TapReader(self._lock, self._codec, self._audio, self._connection, packets, over=not self._open)
            self._readers.append(reader)
            return reader

    def end(self, reader: TapReader) -> None:
        with self._lock:
            self._readers.remove(reader)


class TapReader:
    """Gets a tap's packets of one connection, whose `codec` is one of `RECORDABLE`, with `audio` if there is any."""

    def __init__(
        self,
        lock: threading.Lock,
        codec: str,
        audio: AudioFormat | None,
        connection: int,
        packets: Sequence[ReceivedPacket],
        *,
        over: bool,
    ) -> None:
        """`packets` are those in memory. The tap changes `over`, with its lock held."""
        self.codec, self.audio, self.connection, self.over = codec, audio, connection, over
        self._lock, self._waiting = lock, deque(packets)
        self._bytes = 0  # those are in the ring as well
        self._started, self._skipping = bool(packets), False

    def take(self) -> Taken:
        """Returns what has arrived since the last call; it begins with a key frame, also after packets were lost."""
        with self._lock:
            taken = Taken(list(self._waiting), self.over)
            self._waiting.clear()
            self._bytes = 0
        return taken

    def pass_on(self, packet: ReceivedPacket, most_bytes: int) -> int:
        """Adds a packet, with the tap's lock held. Returns how many packets were lost: the disk is too slow, so it gets
        nothing until the next key frame."""
        if self.over or not (packet.key or self._started):
            return 0
        self._started = True
        if packet.key:
            self._skipping = False
        if not self._skipping and self._bytes + len(packet.data) > most_bytes:
            self._skipping = True
        if self._skipping:
            return 1
        self._waiting.append(packet)
        self._bytes += len(packet.data)
        return 0


class AnnotatedPackets:
    """Passes what viewers get on to a camera's tap, as one connection without sound that lasts as long as the camera
    runs: also the slate, and images of another size. A `PacketConsumer`; used by the output's thread."""

    wanted = True
    """Always: a recording may begin before its event."""

    def __init__(self, tap: PacketTap) -> None:
        self._tap = tap
        self._key_at = self._newest = 0.0
        tap.stream_opened("h264")

    def take_keyframe_request(self) -> bool:
        """Returns True if a key frame is due, whatever viewers need: recordings begin with one, and memory holds whole
        groups."""
        return self._newest - self._key_at >= _LONGEST_GROUP

    def push(self, packet: Packet) -> bool:
        """Adds a packet. Its time is that of the capture; the first frame after the slate may be older than that."""
        self._newest = at = max(self._newest, packet.captured_at)
        if packet.keyframe:
            self._key_at = at
        self._tap.packet_received(ReceivedPacket(packet.data, at, at, packet.keyframe, at))
        return True
