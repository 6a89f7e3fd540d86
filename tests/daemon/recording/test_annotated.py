"""Recordings of what viewers see: packets of one encoder, in memory and in files. Images and clocks are the test's."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from sightd.daemon.config.model import Clips, Output, Recording, Segments
from sightd.daemon.encode.choice import CodecChoice
from sightd.daemon.encode.encoder import Packet
from sightd.daemon.metrics.registry import Metrics
from sightd.daemon.pipeline.publisher import Publisher
from sightd.daemon.recording.camera_clips import CameraClips
from sightd.daemon.recording.camera_segments import CameraSegments
from sightd.daemon.recording.index import Clip, ClipReader, Kind
from sightd.daemon.recording.store import ClipStore
from sightd.daemon.recording.tap import AnnotatedPackets, PacketTap
from sightd.daemon.recording.writer import FileWriter
from tests.daemon.pipeline.test_output import Player
from tests.daemon.recording.counts import Counts

pytestmark = pytest.mark.computing

_FPS, _STEP = 10, 2
_SMALL, _LARGE = (64, 48), (80, 64)
_CLIPS = Clips.model_validate({"kinds": ["zone.*"], "pre": "2s", "post": "2s"})
_SEGMENTS = Segments.model_validate({"length": "6s"})


class Gate:
    """A camera of which clips and segments show what viewers see. Its frames are as bright as the test wants."""

    def __init__(self, folder: Path, viewer: Player | None = None, keyframe_interval: float = 60.0) -> None:
        self.now = 0.0
        self.counts = Counts()
        self.tap = PacketTap(4.0, 10**9, self.counts)
        self.metrics = Metrics(CollectorRegistry(), "0", [])
        self.publisher = Publisher(
            Output().model_copy(update={"keyframe_interval": keyframe_interval}),
            CodecChoice("gate", "x264"),
            viewer,
            None,
            self.metrics.camera("gate"),
            self.metrics.stages,
            recording=AnnotatedPackets(self.tap),
        )
        self.store = ClipStore(folder, Recording.model_validate({"min_free": 0}), self.counts, free=lambda _: 10**9)
        self.clips = CameraClips(_CLIPS, self.tap, self._writer("clip"))
        self.segments = CameraSegments(_SEGMENTS, self.tap, self._writer("segment"))

    def _writer(self, kind: Kind) -> FileWriter:
        return FileWriter("gate", kind, self.counts, lambda: self.now, lambda: self.now)

    def shows(self, until: float, size: tuple[int, int] = _SMALL, grey: int = 90, late_by: float = 0.0) -> None:
        """Publishes frames that were captured `late_by` s before, and lets both kinds be written."""
        image = np.full((size[1], size[0], 3), grey, np.uint8)
        first = round(self.now * _FPS)
        for number in range(first, round(until * _FPS)):
            self.now = number / _FPS
            self.publisher.publish(image, self.now - late_by, _FPS)
            if number % _STEP == 0:
                self.clips.step(self.store)
                self.segments.step(self.store)
        self.now = until

    def found(self, kind: Kind) -> list[Clip]:
        self.clips.close(self.store)
        self.segments.close(self.store)
        reader = ClipReader(self.store.folder)
        clips = [reader.clip(number) for number in range(1, 20)]
        return [one for one in clips if one is not None and one.kind == kind]

    def frames(self, clip: Clip) -> list[tuple[float, int, int]]:
        """Returns time, width and brightness of each frame."""
        with av.open(str(self.store.folder / clip.path)) as container:
            return [
                (frame.time or 0.0, frame.width, round(float(frame.to_ndarray(format="gray").mean())))
                for frame in container.decode(video=0)
            ]


def test_the_encoder_runs_without_viewers_and_makes_a_key_frame_every_5_s(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    assert gate.publisher.wanted
    gate.shows(16.0)
    reader = gate.tap.begin(0.0)
    assert reader is not None
    keys = [packet.received_at for packet in reader.take().packets if packet.key]
    assert keys, "memory begins with one"
    assert all(round(later - earlier, 3) <= 5.0 + 1 / _FPS for earlier, later in pairwise([*keys, gate.now]))
    assert gate.metrics.registry.get_sample_value("sightd_encoder_active", {"camera": "gate"}) == 1


def test_viewers_and_recordings_share_one_encoder(tmp_path: Path) -> None:
    viewer = Player()
    gate = Gate(tmp_path, viewer)
    gate.shows(1.0)
    viewer.asks_for_keyframe = True
    gate.shows(2.0)
    reader = gate.tap.begin(0.0)
    assert reader is not None
    recorded = [packet.data for packet in reader.take().packets]
    assert recorded == [packet.data for packet in viewer.packets]
    assert viewer.packets[10].keyframe
    viewer.wanted = False
    gate.shows(3.0)
    assert len(viewer.packets) == 20
    assert len(reader.take().packets) == 10


def test_a_clip_begins_before_its_event_and_shows_the_slate_while_the_camera_is_down(tmp_path: Path) -> None:
    gate = Gate(tmp_path, keyframe_interval=1.0)
    gate.shows(5.0, grey=60)
    gate.clips.event(1, 5.0)
    gate.shows(6.0, grey=200)
    gate.shows(10.0, grey=60, late_by=0.5)
    (clip,) = gate.found("clip")
    assert clip.audio is None
    assert 2.0 <= clip.begin <= 3.0
    assert clip.end <= 7.0
    frames = gate.frames(clip)
    times = [time for time, _, _ in frames]
    assert times == sorted(set(times)), "also where a frame is older than the slate"
    bright = [grey for _, _, grey in frames]
    assert bright[0] < 100 < max(bright)
    assert bright[-1] < 100


def test_another_frame_size_continues_in_another_clip_and_segment(tmp_path: Path) -> None:
    gate = Gate(tmp_path, keyframe_interval=1.0)
    gate.shows(5.0)
    gate.clips.event(1, 5.0)
    gate.shows(6.0)
    gate.shows(10.0, _LARGE)
    for kind in ("clip", "segment"):
        widths = [{width for _, width, _ in gate.frames(one)} for one in gate.found(kind)]
        assert widths == [{64}, {80}], kind
    assert gate.counts.failures == 0


def test_segments_follow_each_other_at_key_frames_and_lack_no_frame(tmp_path: Path) -> None:
    gate = Gate(tmp_path, keyframe_interval=2.0)
    gate.shows(20.0)
    found = gate.found("segment")
    assert [round(one.begin, 1) for one in found] == [0.0, 8.0, 16.0]
    assert sum(len(gate.frames(one)) for one in found) == 20 * _FPS


def test_an_event_while_nothing_can_be_encoded_is_counted_as_one_without_a_clip(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    gate.clips.event(1, gate.now)
    gate.clips.step(gate.store)
    gate.now = 10.0
    gate.clips.step(gate.store)
    assert gate.counts.failures == 1
    assert gate.found("clip") == []


def test_packets_have_the_times_of_their_frames() -> None:
    tap = PacketTap(10.0, 10**6, Counts())
    packets = AnnotatedPackets(tap)
    for at, key in ((5.0, True), (5.5, False), (5.25, False), (6.0, False)):
        assert packets.push(Packet(b"image", at, key))
    reader = tap.begin(0.0)
    assert reader is not None
    assert [one.received_at for one in reader.take().packets] == [5.0, 5.5, 5.5, 6.0]
