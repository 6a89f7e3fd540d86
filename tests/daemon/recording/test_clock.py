"""Times within a clip: those of the stream, always usable by a player."""

from __future__ import annotations

from itertools import pairwise

import pytest

from sightd.daemon.capture.packets import ReceivedPacket
from sightd.daemon.recording.clock import TICKS, ClipClock, reordering
from tests.daemon.recording.packets import packet

pytestmark = pytest.mark.computing


def times(packets: list[ReceivedPacket]) -> list[tuple[int, int]]:
    clock = ClipClock(packets)
    found = [clock.times(one) for one in packets]
    decoded = [dts for _, dts in found]
    assert decoded == sorted(set(decoded)), "decoding times increase strictly"
    assert all(pts >= dts for pts, dts in found)
    return found


def test_follow_the_clock_of_the_stream_whenever_packets_arrive() -> None:
    late = [packet(at, pts=number / 25) for number, at in enumerate((0.0, 0.5, 0.5, 0.51, 0.6))]
    assert [pts for pts, _ in times(late)] == [number * TICKS // 25 for number in range(5)]


def test_frames_that_are_reordered_are_shown_in_their_order() -> None:
    sent = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8]
    packets = [packet(place / 25, pts=number / 25) for place, number in enumerate(sent)]
    assert reordering(packets) == 1
    shown = [pts for pts, _ in times(packets)]
    assert [round(pts * 25 / TICKS) for pts in shown] == sent


def test_decoding_times_that_a_container_states_are_kept() -> None:
    packets = [packet(n / 25, pts=(n + 2) / 25)._replace(dts=n / 25) for n in range(5)]
    assert [(pts - dts) * 25 // TICKS for pts, dts in times(packets)] == [2] * 5


@pytest.mark.parametrize("jump", [-1000.0, 1000.0])
def test_a_clock_that_is_set_during_a_clip_leaves_no_hole_and_hides_no_frame(jump: float) -> None:
    packets = [packet(n / 25, pts=n / 25 + (jump if n >= 5 else 0.0)) for n in range(10)]
    shown = [pts for pts, _ in times(packets)]
    assert [after - before for before, after in pairwise(shown)] == [TICKS // 25] * 9


def test_packets_of_the_same_time_still_have_an_order() -> None:
    assert [pts for pts, _ in times([packet(0.0), packet(0.0), packet(0.0)])] == [0, 1, 2]


def test_a_gap_in_the_stream_stays_a_gap() -> None:
    packets = [packet(0.0), packet(12.0)]
    assert times(packets)[1][0] - times(packets)[0][0] == 12 * TICKS


def test_a_stall_of_the_network_is_no_gap() -> None:
    packets = [packet(0.0, pts=0.0), packet(20.0, pts=0.04), packet(20.0, pts=0.08)]
    assert [pts for pts, _ in times(packets)] == [0, 3600, 7200]


def test_a_stream_without_times_gets_those_of_arrival() -> None:
    packets = [ReceivedPacket(b"", None, None, True, at) for at in (5.0, 5.04)]
    assert times(packets)[1][0] - times(packets)[0][0] == 3600
