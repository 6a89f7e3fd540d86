"""What is kept in memory: whole groups of pictures, bounded in time and bytes."""

from __future__ import annotations

import pytest

from sightd.daemon.recording.ring import PacketRing
from tests.daemon.recording.packets import packet

pytestmark = pytest.mark.computing


def filled(seconds: float, most_bytes: int, upto: float) -> PacketRing:
    """Returns a ring that got 10 packets of 100 bytes per second, with a key frame every second."""
    ring = PacketRing(seconds, most_bytes)
    for number in range(round(upto * 10)):
        ring.add(packet(number / 10, key=number % 10 == 0))
    return ring


def test_begins_with_the_last_key_frame_that_is_old_enough() -> None:
    ring = filled(2.5, 10**6, 10.0)
    kept = ring.since(-1.0)
    assert kept[0].key
    assert kept[0].received_at == 7.0  # 9.9 - 2.5 = 7.4, and its group began at 7
    assert len(kept) == 30
    assert ring.bytes == 3000


def test_gives_the_packets_from_the_key_frame_at_or_before_a_moment() -> None:
    ring = filled(5.0, 10**6, 10.0)
    assert [one.received_at for one in ring.since(8.05)][:2] == [8.0, 8.1]
    assert ring.since(8.0)[0].received_at == 8.0
    assert ring.since(7.99)[0].received_at == 7.0


def test_never_holds_more_bytes_than_it_may() -> None:
    ring = PacketRing(100.0, 2500)
    for number in range(200):
        ring.add(packet(number / 10, key=number % 10 == 0))
        assert ring.bytes <= 2500
        assert ring.bytes == sum(len(one.data) for one in ring.since(-1.0))
    assert ring.since(-1.0)[0].key


def test_a_group_that_does_not_fit_is_left_out_until_the_next_key_frame() -> None:
    ring = PacketRing(100.0, 1000)
    for number in range(15):
        ring.add(packet(number / 10, key=number == 0))
    assert ring.since(-1.0) == []
    assert ring.bytes == 0
    ring.add(packet(2.0, key=True))
    assert len(ring.since(-1.0)) == 1


def test_packets_before_the_first_key_frame_are_ignored() -> None:
    ring = PacketRing(10.0, 1000)
    ring.add(packet(0.0))
    assert ring.since(5.0) == []
    assert ring.bytes == 0
