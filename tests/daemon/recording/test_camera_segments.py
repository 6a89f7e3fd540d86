"""Segments: files of equal length without a gap, always or during activity. Packets and clocks are the test's."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from sightd.daemon.capture.packets import ReceivedPacket
from sightd.daemon.config.model import Recording, Segments
from sightd.daemon.recording.camera_segments import CameraSegments
from sightd.daemon.recording.index import Clip, ClipReader
from sightd.daemon.recording.store import ClipStore
from sightd.daemon.recording.tap import PacketTap
from sightd.daemon.recording.writer import FileWriter
from tests.daemon.recording.counts import Counts
from tests.daemon.recording.packets import FPS, encoded

pytestmark = pytest.mark.computing

_EPOCH = 1_700_000_000.0
_STEP = 0.2


def film(begin: float, end: float) -> list[ReceivedPacket]:
    """Packets that arrive from `begin` to `end`, with a key frame every 2 s."""
    pictures = encoded()
    numbers = range(round(begin * FPS), round(end * FPS))
    return [pictures[n % len(pictures)]._replace(pts=n / FPS, received_at=n / FPS) for n in numbers]


class Gate:
    """A camera that is recorded while the test moves the clock; it was connected at 0 s."""

    def __init__(self, folder: Path, **rules: Any) -> None:
        self.now = 0.0
        self.counts, self.free = Counts(), 10**9
        self.tap = PacketTap(12.0, 10**9, self.counts)
        options = Recording.model_validate({"min_free": "1B"})
        self.store = ClipStore(folder, options, self.counts, free=lambda _: self.free, clock=self.wall)
        self.writer = FileWriter("gate", "segment", self.counts, lambda: self.now, self.wall)
        self.segments = CameraSegments(Segments().model_copy(update=rules), self.tap, self.writer)
        self.tap.stream_opened("h264")

    def wall(self) -> float:
        return _EPOCH + self.now

    def plays(self, until: float) -> None:
        """Passes packets on and steps until a time."""
        for packet in film(self.now, until):
            self.now = packet.received_at
            self.tap.packet_received(packet)
            if round(self.now * FPS) % round(_STEP * FPS) == 0:
                self.segments.step(self.store)
        self.now = until
        self.segments.step(self.store)

    def event(self, number: int, ago: float = 0.0) -> None:
        self.segments.event(number, self.wall() - ago)

    def found(self) -> list[Clip]:
        self.segments.close(self.store)
        return ClipReader(self.store.folder).segments("gate", 0.0, 1e12)

    def times(self) -> list[tuple[float, float]]:
        return [(round(one.begin - _EPOCH, 2), round(one.end - _EPOCH, 2)) for one in self.found()]

    def packets_in(self, segment: Clip) -> int:
        with av.open(str(self.store.folder / segment.path)) as container:
            return sum(1 for _ in container.decode(video=0))


def test_continuous_segments_follow_each_other_at_key_frames_and_lack_no_packet(tmp_path: Path) -> None:
    gate = Gate(tmp_path, length=5.0)
    gate.plays(16.0)
    found = gate.found()
    assert gate.times() == [(0.0, 5.96), (6.0, 11.96), (12.0, 15.96)]
    assert [gate.packets_in(one) for one in found] == [6 * FPS, 6 * FPS, 4 * FPS]
    assert all(round(after.begin - before.end, 3) == 1 / FPS for before, after in pairwise(found))
    assert {one.kind for one in found} == {"segment"}
    assert gate.counts.missing == 0


def test_a_camera_that_comes_back_is_recorded_from_its_first_key_frame_on(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    gate.plays(3.0)
    gate.tap.stream_closed()
    gate.segments.step(gate.store)
    gate.now = 3.4
    gate.segments.step(gate.store)  # what is in memory is recorded already
    gate.now = 5.0
    gate.tap.stream_opened("h264")
    gate.plays(9.0)  # the first second has no key frame
    assert gate.times() == [(0.0, 2.96), (6.0, 8.96)]
    assert gate.counts.missing == 0


def test_activity_is_recorded_from_before_its_first_event_until_after_its_last_one(tmp_path: Path) -> None:
    gate = Gate(tmp_path, mode="activity", kinds=["zone.*"], pre=3.0, post=2.0, length=5.0)
    gate.plays(10.0)
    gate.event(1)
    gate.plays(11.5)
    gate.event(2, ago=0.5)
    gate.plays(30.0)
    assert gate.times() == [(6.0, 11.96), (12.0, 13.0)]
    assert [one.events for one in gate.found()] == [[1, 2], []]


def test_activity_later_is_another_segment(tmp_path: Path) -> None:
    gate = Gate(tmp_path, mode="activity", kinds=["zone.*"], pre=1.0, post=1.0)
    for number in (1, 2):
        gate.plays(10.0 * number)
        gate.event(number)
    gate.plays(24.0)
    assert gate.times() == [(8.0, 11.0), (18.0, 21.0)]
    assert [one.events for one in gate.found()] == [[1], [2]]


def test_what_is_recorded_already_is_recorded_again_only_back_to_a_key_frame(tmp_path: Path) -> None:
    gate = Gate(tmp_path, mode="activity", kinds=["zone.*"], pre=4.0, post=1.0)
    gate.plays(10.0)
    gate.event(1)
    gate.plays(13.0)
    gate.event(2)
    gate.plays(20.0)
    assert gate.times() == [(6.0, 11.0), (10.0, 14.0)]


def test_nothing_happens_without_activity(tmp_path: Path) -> None:
    gate = Gate(tmp_path, mode="activity", kinds=["zone.*"])
    gate.plays(5.0)
    assert gate.found() == []


def test_events_make_the_segment_of_their_time_outlive_others(tmp_path: Path) -> None:
    gate = Gate(tmp_path, length=5.0, kinds=["zone.*"])
    gate.plays(8.0)
    gate.event(1, ago=3.0)  # in the segment that has ended
    gate.plays(14.0)
    assert [(one.events, one.priority) for one in gate.found()] == [([1], 1), ([], 0), ([], 0)]


def test_a_full_disk_is_reported_and_recording_continues_once_there_is_room(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    gate.free = 0
    gate.plays(4.0)
    assert "segments of camera gate cannot be written: less than recording.min_free" in str(gate.writer.fault)
    assert gate.counts.failures == 1
    gate.free = 10**9
    gate.plays(8.0)
    gate.writer.recover(gate.store)
    assert gate.writer.fault is None
    assert gate.times() == [(0.0, 7.96)]  # the first seconds were still in memory


def test_a_stream_with_reordered_frames_keeps_their_order_from_the_first_frame_of_each_segment_on(
    tmp_path: Path,
) -> None:
    gate = Gate(tmp_path, length=5.0)
    order = [0, 3, 1, 2, 4]
    for packet in film(0.0, 12.0):
        number = round(packet.received_at * FPS)
        moved = packet._replace(pts=(number // 5 * 5 + order[number % 5]) / FPS)
        gate.now = packet.received_at
        gate.tap.packet_received(moved)
        gate.segments.step(gate.store)
    for one in gate.found():
        with av.open(str(tmp_path / one.path)) as container:
            sent = [packet.pts for packet in container.demux(video=0) if packet.size and packet.pts is not None]
        shown = [round((pts - sent[0]) * FPS / 90_000) for pts in sent]
        assert shown[:8] == [0, 3, 1, 2, 4, 5, 8, 6]
