"""What keeps a camera from being recorded is reported as long as its cause lasts, and no longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightd.daemon.config.model import Clips, Recording
from sightd.daemon.recording.camera_clips import CameraClips
from sightd.daemon.recording.store import ClipStore
from sightd.daemon.recording.tap import PacketTap
from sightd.daemon.recording.writer import FileWriter
from tests.daemon.recording.counts import Counts
from tests.daemon.recording.packets import encoded, packet

pytestmark = pytest.mark.computing

_CLIPS = Clips.model_validate({"kinds": ["zone.*"], "pre": "1s", "post": "0s"})
_OPTIONS = Recording.model_validate({"clips": _CLIPS, "min_free": 0})


class Clocks:
    """Both clocks, which only the test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Gate:
    """A camera whose packets all arrived at 0 s, and its store."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.counts, self.free = Clocks(), Counts(), 10**9
        self.tap = PacketTap(100.0, 10**9, self.counts)
        self.store = ClipStore(folder, _OPTIONS, self.counts, free=lambda _: self.free)
        self.writer = FileWriter("gate", "clip", self.counts, self.clock, self.clock)
        self.clips = CameraClips(_CLIPS, self.tap, self.writer)

    def clip(self) -> None:
        """An event whose clip ends at once."""
        self.tap.stream_closed()
        self.clips.event(1, self.clock())
        self.clips.step(self.store)


def test_a_disk_that_cannot_be_written_is_reported_until_it_can_be_without_another_clip(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    gate.tap.stream_opened("h264")
    gate.tap.packet_received(encoded()[0])
    (tmp_path / "gate").write_text("in the way")
    gate.clip()
    assert "clips of camera gate cannot be written" in str(gate.writer.fault)
    gate.clock.now = 1000.0
    gate.writer.recover(gate.store)
    assert gate.writer.fault is not None
    (tmp_path / "gate").unlink()
    gate.writer.recover(gate.store)
    assert gate.writer.fault is None
    assert list((tmp_path / "gate").iterdir()) == []


def test_a_full_disk_is_reported_until_there_is_room_without_another_clip(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    options = _OPTIONS.model_copy(update={"min_free": 10})
    gate.store = ClipStore(tmp_path, options, gate.counts, free=lambda _: gate.free)
    gate.tap.stream_opened("h264")
    gate.tap.packet_received(encoded()[0])
    gate.free = 9
    gate.clip()
    gate.writer.recover(gate.store)
    assert "min_free is free" in str(gate.writer.fault)
    gate.free = 10
    gate.writer.recover(gate.store)
    assert gate.writer.fault is None


def test_a_stream_that_could_not_be_written_is_reported_for_a_minute(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    gate.tap.stream_opened("h264")
    gate.tap.packet_received(packet(0.0, key=True))
    gate.clip()
    assert "no parameter sets" in str(gate.writer.fault) or "cannot be read" in str(gate.writer.fault)
    gate.clock.now = 59.0
    gate.writer.recover(gate.store)
    assert gate.writer.fault is not None
    gate.clock.now = 60.0
    gate.writer.recover(gate.store)
    assert gate.writer.fault is None
