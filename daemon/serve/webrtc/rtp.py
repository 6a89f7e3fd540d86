"""RTP payloads of H.264 (RFC 6184, packetization mode 1), and the RTCP messages of a sender (RFC 3550, RFC 4585)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

CLOCK = 90_000
"""Ticks per second of RTP timestamps."""
_START = b"\0\0\1"
_DELIMITER, _AGGREGATE, _FRAGMENT = 9, 24, 28
_NTP_EPOCH = 2_208_988_800
"""Seconds from 1900 to 1970."""
_SENDER_REPORT, _DESCRIPTION, _TRANSPORT_FEEDBACK, _PAYLOAD_FEEDBACK = 200, 202, 205, 206
_NACK, _PLI, _FIR = 1, 1, 4


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as RTP payloads, which all viewers share. `timestamp` is in ticks of `CLOCK` and grows without
    wrapping; `size` in bytes."""

    payloads: tuple[bytes, ...]
    timestamp: int
    key: bool
    size: int


def frame_of(unit: bytes, captured_at: float, key: bool, most: int) -> Frame:
    """Returns an access unit (Annex B), captured at a time in monotonic s, as payloads of at most `most` bytes."""
    payloads = tuple(_payloads(unit, most))
    return Frame(payloads, round(captured_at * CLOCK), key, sum(map(len, payloads)))


def _payloads(unit: bytes, most: int) -> Iterator[bytes]:
    """Yields the payloads: NAL units that fit are aggregated, others fragmented."""
    waiting: list[bytes] = []
    size = 1
    for nal in nal_units(unit):
        if nal[0] & 31 == _DELIMITER:
            continue
        if waiting and size + 2 + len(nal) > most:
            yield _aggregated(waiting)
            waiting, size = [], 1
        if 3 + len(nal) > most:
            yield from _fragments(nal, most)
        else:
            waiting.append(nal)
            size += 2 + len(nal)
    if waiting:
        yield _aggregated(waiting)


def nal_units(unit: bytes) -> Iterator[bytes]:
    """Yields the NAL units of an access unit in Annex B, without start codes."""
    at = unit.find(_START)
    while at >= 0:
        begin, at = at + 3, unit.find(_START, at + 3)
        end = len(unit) if at < 0 else at
        while end > begin and unit[end - 1] == 0:
            end -= 1
        if end > begin:
            yield unit[begin:end]


def _aggregated(nals: list[bytes]) -> bytes:
    if len(nals) == 1:
        return nals[0]
    importance = max(nal[0] & 0x60 for nal in nals)
    return bytes([importance | _AGGREGATE]) + b"".join(len(nal).to_bytes(2, "big") + nal for nal in nals)


def _fragments(nal: bytes, most: int) -> Iterator[bytes]:
    """Yields fragments of the same size, but for the last."""
    indicator, kind, room = nal[0] & 0xE0 | _FRAGMENT, nal[0] & 31, most - 2
    for at in range(1, len(nal), room):
        begin, end = 0x80 * (at == 1), 0x40 * (at + room >= len(nal))
        yield bytes((indicator, begin | end | kind)) + nal[at : at + room]


def sender_report(ssrc: int, wall: float, timestamp: int, packets: int, size: int, cname: str) -> bytes:
    """Returns an RTCP packet that says at which time of the wall clock (s since the epoch) a frame with `timestamp`
    would be captured."""
    ntp = round((wall + _NTP_EPOCH) * 2**32) & 2**64 - 1
    report = struct.pack(
        "!BBHIQIII", 0x80, _SENDER_REPORT, 6, ssrc, ntp, timestamp & 0xFFFFFFFF, packets & 0xFFFFFFFF, size & 0xFFFFFFFF
    )
    name = cname.encode()
    item = struct.pack("!IBB", ssrc, 1, len(name)) + name + b"\0"
    item += bytes(-len(item) % 4)
    return report + struct.pack("!BBH", 0x81, _DESCRIPTION, len(item) // 4) + item


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a receiver asks for: packets to be repeated, by sequence number, and whether it needs a key frame."""

    lost: tuple[int, ...] = ()
    needs_key: bool = False


def feedback(compound: bytes, ssrc: int) -> Feedback:
    """Returns what the RTCP packets in `compound` say about the stream `ssrc`. Ignores what is malformed."""
    lost: list[int] = []
    needs_key = False
    at = 0
    while at + 4 <= len(compound):
        head, kind, length = struct.unpack_from("!BBH", compound, at)
        end = at + 4 * (length + 1)
        if head >> 6 != 2 or end > len(compound):
            break
        body, form = compound[at + 4 : end], head & 31
        if kind == _TRANSPORT_FEEDBACK and form == _NACK and body[4:8] == ssrc.to_bytes(4, "big"):
            lost += _negative(body[8:])
        elif kind == _PAYLOAD_FEEDBACK and form in (_PLI, _FIR):
            needs_key = needs_key or ssrc.to_bytes(4, "big") in (body[4:8], body[8:12])
        at = end
    return Feedback(tuple(lost), needs_key)


def _negative(entries: bytes) -> Iterator[int]:
    for at in range(0, len(entries) - 3, 4):
        first, following = struct.unpack_from("!HH", entries, at)
        yield first
        yield from (first + 1 + bit & 0xFFFF for bit in range(16) if following >> bit & 1)
