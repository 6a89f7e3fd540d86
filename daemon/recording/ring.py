"""The newest packets of a camera, in memory: whole groups of pictures, so that each can be played."""

from __future__ import annotations

from collections import deque
from itertools import chain

from sightd.daemon.capture.packets import ReceivedPacket


class PacketRing:
    """Holds the last `seconds` of packets, in at most `most_bytes`. It always begins with a key frame. Not
    thread-safe."""

    def __init__(self, seconds: float, most_bytes: int) -> None:
        self._seconds, self._most_bytes = seconds, most_bytes
        self._groups: deque[list[ReceivedPacket]] = deque()
        self.bytes = 0

    def add(self, packet: ReceivedPacket) -> None:
        """Adds the newest packet and releases groups that are too old or do not fit. Ignores packets until the first
        key frame, and those of a group that does not fit by itself."""
        if packet.key:
            self._groups.append([packet])
        elif self._groups:
            self._groups[-1].append(packet)
        else:
            return
        self.bytes += len(packet.data)
        while len(self._groups) > 1 and self._groups[1][0].received_at <= packet.received_at - self._seconds:
            self._release()
        while self.bytes > self._most_bytes:
            self._release()

    def since(self, at: float) -> list[ReceivedPacket]:
        """Returns the packets from the last key frame at or before `at` (monotonic s) on; all if it is not kept any
        more."""
        first = 0
        for number, group in enumerate(self._groups):
            if group[0].received_at <= at:
                first = number
        return list(chain.from_iterable(list(self._groups)[first:]))

    def clear(self) -> None:
        self._groups.clear()
        self.bytes = 0

    def _release(self) -> None:
        self.bytes -= sum(len(packet.data) for packet in self._groups.popleft())
