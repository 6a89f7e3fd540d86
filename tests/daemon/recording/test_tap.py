"""What a camera's packets go through: memory, and the clip that is being written."""

from __future__ import annotations

import pytest

from sightd.daemon.recording.tap import PacketTap, TapReader
from tests.daemon.recording.counts import Counts
from tests.daemon.recording.packets import packet

pytestmark = pytest.mark.computing


def received(tap: PacketTap, first: int, last: int) -> None:
    """Passes 10 packets of 100 bytes per second on, with a key frame every second."""
    for number in range(first, last):
        tap.packet_received(packet(number / 10, key=number % 10 == 0))


def begun(tap: PacketTap, at: float) -> TapReader:
    reader = tap.begin(at)
    assert reader is not None
    return reader


def test_a_clip_gets_what_is_in_memory_and_then_every_packet_once() -> None:
    counts = Counts()
    tap = PacketTap(5.0, 10**6, counts)
    tap.stream_opened("h264")
    received(tap, 0, 50)
    reader = begun(tap, 2.2)
    assert reader.codec == "h264"
    received(tap, 50, 60)
    first = reader.take()
    received(tap, 60, 70)
    again = reader.take()
    assert [one.received_at for one in (*first.packets, *again.packets)] == [number / 10 for number in range(20, 70)]
    assert not again.over
    assert counts.missing == 0
    assert counts.buffer == 6000


def test_a_slow_disk_loses_whole_groups_which_are_counted_and_the_feed_does_not_wait() -> None:
    counts = Counts()
    tap = PacketTap(1.0, 3000, counts)
    tap.stream_opened("h264")
    received(tap, 0, 1)
    reader = begun(tap, 0.0)
    received(tap, 1, 75)
    kept = reader.take().packets
    assert len(kept) == 1 + 30  # the first was in memory anyway
    received(tap, 75, 85)
    assert [one.received_at for one in reader.take().packets] == [8.0, 8.1, 8.2, 8.3, 8.4]
    assert counts.missing == 44 + 5


def test_a_clip_ends_with_its_connection() -> None:
    tap = PacketTap(5.0, 10**6, Counts())
    tap.stream_opened("h264")
    received(tap, 0, 10)
    reader = begun(tap, 0.0)
    tap.stream_closed()
    tap.stream_opened("h264")
    received(tap, 10, 20)
    taken = reader.take()
    assert taken.over
    assert len(taken.packets) == 10


def test_the_last_seconds_before_a_camera_was_lost_can_be_recorded() -> None:
    tap = PacketTap(5.0, 10**6, Counts())
    tap.stream_opened("hevc")
    received(tap, 0, 10)
    tap.stream_closed()
    reader = begun(tap, 0.0)
    assert reader.codec == "hevc"
    taken = reader.take()
    assert (len(taken.packets), taken.over) == (10, True)


def test_other_codecs_are_refused_by_name() -> None:
    refused: list[str] = []
    tap = PacketTap(5.0, 10**6, Counts(), refused.append)
    tap.stream_opened("mjpeg")
    assert refused == ["mjpeg"]
    assert tap.unrecordable == "mjpeg"
    assert tap.begin(0.0) is None
