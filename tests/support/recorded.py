"""A console with a history: real segments, clips, snapshots and events of the camera "gate"."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sightd.daemon.capture.packets import ReceivedPacket
from sightd.daemon.config.model import Recording
from sightd.daemon.config.snapshots import Snapshots
from sightd.daemon.encode.encoder import encode_jpeg
from sightd.daemon.events.event import PendingEvent
from sightd.daemon.recording.index import ClipReader, Kind
from sightd.daemon.recording.store import ClipStore
from sightd.daemon.recording.writer import FileWriter
from sightd.daemon.serve.auth import Access
from sightd.daemon.snapshots.store import SnapshotStore
from sightd.daemon.snapshots.writer import SnapshotWriter
from sightd.plugins.api import EventRef, Phase
from tests.daemon.recording.counts import Counts as RecordingCounts
from tests.daemon.snapshots.site import Counts as SnapshotCounts
from tests.support.access import NO_TOKENS
from tests.support.clips import LiveEncoder, Scene
from tests.support.console import CAMERAS, ConsoleServer
from tests.support.waiting import eventually

LENGTH = 60
"""Seconds of a segment, at one frame per second."""


class RecordedConsole(ConsoleServer):
    """A server whose journal, snapshots and recordings lie in `folder`."""

    def __init__(self, folder: Path, access: Access = NO_TOKENS) -> None:
        recording = Recording.model_validate({"clips": {"kinds": ["zone.*"]}, "min_free": 0})
        snapshots = Snapshots.model_validate({"kinds": ["zone.*"], "min_free": 0})
        self._clips = ClipStore(folder / "clips", recording, RecordingCounts())
        self._snapshots = SnapshotStore(folder / "snapshots", snapshots, SnapshotCounts())
        self.reader = ClipReader(folder / "clips")
        writer = SnapshotWriter(folder / "snapshots", snapshots, SnapshotCounts())
        super().__init__(folder, CAMERAS, access, clips=self.reader, snapshots=writer)

    def happen(self, kind: str, at: float, *, clip: bool = False, picture: bool = False, **facts: Any) -> int:
        """Stores an event of the camera "gate" and returns its id. `about`: the event that it ends."""
        about, phase = facts.pop("about", None), facts.pop("phase", Phase.ONCE)
        stored = _Stored()
        self.journal.record(
            PendingEvent(
                kind,
                at,
                "gate",
                "zones",
                facts,
                about,
                phase,
                snapshot=picture,
                clean_snapshot=picture,
                clip=clip,
                listener=stored,
            )
        )
        eventually(lambda: stored.id is not None)
        assert stored.id is not None
        if picture:
            self._snapshots.add("gate", stored.id, at, _picture(f"event {stored.id}"), _picture("clean"))
        if clip:
            self.film("clip", at - 5, [stored.id])
        eventually(lambda: self.journal.reader.event(stored.id or 0) is not None)
        return stored.id

    def film(self, kind: Kind, begin: float, events: Sequence[int] = ()) -> None:
        """Adds a recording of LENGTH s that begins at a time."""
        writer = FileWriter("gate", kind, RecordingCounts(), lambda: 0.0, lambda: begin)
        packets = _packets(int(begin / LENGTH) % 2)
        writer.begin(("h264", None), packets, events, self._clips)
        for packet in packets:
            writer.write(packet)
        writer.finish((), self._clips)

    def close(self) -> None:
        super().close()
        self._clips.close()


class _Stored:
    id: int | None = None

    def stored(self, event: int) -> None:
        self.id = event

    def lost(self) -> None: ...


@cache
def _packets(which: int) -> tuple[ReceivedPacket, ...]:
    """Returns one of two films: segments that follow each other must differ."""
    scene, encoder = Scene(320, 180), LiveEncoder(320, 180, 1.0)
    found = [one for number in range(LENGTH) for one in encoder.encode(scene.frame(number + LENGTH * which), number)]
    return tuple(
        ReceivedPacket(bytes(one), float(number), None, one.is_keyframe, float(number))
        for number, one in enumerate(found)
    )


@cache
def _picture(text: str) -> bytes:
    image = np.full((360, 640, 3), (90, 120, 70), np.uint8)
    cv2.rectangle(image, (260, 90), (380, 330), (60, 60, 200), 3)
    cv2.putText(image, text, (20, 50), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (255, 255, 255), 2)
    return encode_jpeg(image, 80)


def history(server: RecordedConsole) -> dict[str, int]:
    """Fills in two visits of Ann to the zone "drive", a crossed line, and ten minutes of segments with a gap, up to ten
    minutes ago. Returns ids of events by name."""
    now = float(int(time.time()))
    begin = now - 1500
    for number in (*range(5), *range(7, 12)):
        server.film("segment", begin + LENGTH * number)
    inside: dict[str, Any] = {"zone": "drive", "class": "person", "track": 31, "person": "Ann"}
    car: dict[str, Any] = {"line": "kerb", "class": "car", "track": 40}
    entered = EventRef("zone.entered", begin + 30, inside)
    return {
        "down": server.happen("camera.down", now - 7000, reason="timeout"),
        "entered": server.happen("zone.entered", begin + 30, phase=Phase.BEGAN, picture=True, **inside),
        "left": server.happen(
            "zone.left", begin + 90, phase=Phase.ENDED, about=entered, picture=True, clip=True, seconds=60.0, **inside
        ),
        "crossed": server.happen("line.crossed", begin + 500, picture=True, **car),
    }
