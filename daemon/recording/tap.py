"""Observes one camera's packets: keeps the newest in memory, and hands them to the clip that is being written."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from sightd.daemon.capture.packets import RECORDABLE, ReceivedPacket
from sightd.daemon.recording.ring import PacketRing


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
    """A `PacketObserver`. The feed's thread writes and never waits; one other thread reads. Bounded: `most_bytes` for
    the ring, and the same again for packets that wait for the disk, which are mostly those of the ring."""

    def __init__(
        self,
        seconds: float,
        most_bytes: int,
        observer: TapObserver,
        refused: Callable[[str], None] = lambda codec: None,
    ) -> None:
        """Keeps the last `seconds`. `refused` is called with the name of a codec that cannot be recorded."""
        self._ring = PacketRing(seconds, most_bytes)
        self._most_bytes, self._observer, self._refused = most_bytes, observer, refused
        self._lock = threading.Lock()
        self._waiting: deque[ReceivedPacket] = deque()
        self._waiting_bytes = 0
        self._reading = self._open = self._over = self._skipping = False
        self._codec = ""

    def stream_opened(self, codec: str) -> None:
        with self._lock:
            self._ring.clear()
            self._open, self._over = True, self._reading
            self._codec = codec
        self._observer.buffered(0)
        if codec not in RECORDABLE:
            self._refused(codec)

    def packet_received(self, packet: ReceivedPacket) -> None:
        with self._lock:
            self._ring.add(packet)
            lost = self._pass_on(packet) if self._reading and not self._over else 0
            size = self._ring.bytes
        self._observer.buffered(size)
        if lost:
            self._observer.lost(lost)

    def stream_closed(self) -> None:
        with self._lock:
            self._open, self._over = False, self._reading

    @property
    def unrecordable(self) -> str | None:
        """The codec that the camera sends, if it cannot be recorded."""
        with self._lock:
            return self._codec if self._codec and self._codec not in RECORDABLE else None

    def begin(self, at: float) -> str | None:
        """Makes `take` return packets from the last key frame at or before `at` (monotonic s) on. Returns the codec;
        None if there is nothing to record."""
        with self._lock:
            packets = self._ring.since(at)
            if self._codec not in RECORDABLE or not (packets or self._open):
                return None
            self._waiting, self._waiting_bytes = deque(packets), 0  # those are in the ring as well
            self._reading, self._over, self._skipping = True, not self._open, not packets
            return self._codec

    def take(self) -> Taken:
        """Returns what has arrived since the last call; it begins with a key frame, also after packets were lost."""
        with self._lock:
            taken = Taken(list(self._waiting), self._over)
            self._waiting.clear()
            self._waiting_bytes = 0
        return taken

    def end(self) -> None:
        """Ends what `begin` began."""
        with self._lock:
            self._reading = self._over = False
            self._waiting.clear()
            self._waiting_bytes = 0

    def _pass_on(self, packet: ReceivedPacket) -> int:
        """Returns how many packets were lost: the disk is too slow, so it gets nothing until the next key frame."""
        if packet.key:
            self._skipping = False
        if not self._skipping and self._waiting_bytes + len(packet.data) > self._most_bytes:
            self._skipping = True
        if self._skipping:
            return 1
        self._waiting.append(packet)
        self._waiting_bytes += len(packet.data)
        return 0
