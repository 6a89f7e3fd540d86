"""Times of packets within a clip."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from fractions import Fraction

from sightd.daemon.capture.packets import ReceivedPacket

TICKS = 90_000
"""Ticks per second, as in RTP and MPEG-TS."""
TIME_BASE = Fraction(1, TICKS)
_MOST_REORDERED = 16
"""Frames that H.264 and H.265 may reorder."""
_USUAL = TICKS // 25
_AHEAD, _BACK = 5.0, 1.0
"""Seconds by which a stream's clock may advance more than has passed since the last packet, and by which it may go
back; beyond that, the camera has set its clock. It may advance less: packets wait in the network."""


def reordering(packets: Sequence[ReceivedPacket]) -> int:
    """Returns how many frames at most are sent before one that is shown before them: 0 without B-frames."""
    times = [packet.pts for packet in packets if packet.pts is not None and not packet.audio]
    later = (
        sum(before > time for before in times[max(0, place - _MOST_REORDERED) : place])
        for place, time in enumerate(times)
    )
    return max(later, default=0)


class ClipClock:
    """Gives each packet its times: dts increases strictly, dts <= pts. They follow the stream's own clock; if it jumps,
    the time of arrival counts.

    RTP does not state decoding times. If frames are reordered, those are the presentation times in ascending order.
    """

    def __init__(self, first: Sequence[ReceivedPacket], reordered: int = 0) -> None:
        """`first` are the packets known when the clip begins; they show whether frames are reordered. `reordered` is
        how many are at least."""
        self.reordered = max(reordering(first), reordered)
        self._sorted: list[int] = []
        self._shift = 0
        self._previous: tuple[int, float] | None = None
        self._dts: int | None = None

    def times(self, packet: ReceivedPacket) -> tuple[int, int]:
        """Returns pts and dts of the next packet, in ticks."""
        pts = self._continuous(packet)
        dts = pts - self._offset(packet) if packet.dts is not None else self._decoding_time(pts)
        if self._dts is not None:
            dts = max(dts, self._dts + 1)
        self._dts = dts
        return max(pts, dts), dts

    def audio_time(self, packet: ReceivedPacket) -> int:
        """Returns the time of an audio packet on the clock of the video before it, in ticks. If its own clock is an
        unrelated one, the time of arrival counts."""
        assert self._previous is not None, "a file begins with a key frame"
        last, received_at = self._previous
        expected = last + round((packet.received_at - received_at) * TICKS)
        if packet.pts is None:
            return expected
        ticks = round(packet.pts * TICKS) + self._shift
        return ticks if abs(ticks - expected) < _AHEAD * TICKS else expected

    def _offset(self, packet: ReceivedPacket) -> int:
        assert packet.dts is not None
        return 0 if packet.pts is None else max(0, round((packet.pts - packet.dts) * TICKS))

    def _continuous(self, packet: ReceivedPacket) -> int:
        """Returns the packet's own time, moved so that it continues after a jump of the stream's clock."""
        stated = packet.pts if packet.pts is not None else packet.dts
        ticks = round((packet.received_at if stated is None else stated) * TICKS)
        if self._previous is not None:
            last, received_at = self._previous
            elapsed, step = packet.received_at - received_at, (ticks + self._shift - last) / TICKS
            if step < -_BACK or step > elapsed + _AHEAD:
                self._shift = last + max(_USUAL, round(elapsed * TICKS)) - ticks
                self._sorted.clear()
        self._previous = ticks + self._shift, packet.received_at
        return ticks + self._shift

    def _decoding_time(self, pts: int) -> int:
        if not self._sorted:
            self._sorted = [pts - number * _USUAL for number in range(self.reordered, 0, -1)]
        insort(self._sorted, pts)
        return self._sorted.pop(0)
