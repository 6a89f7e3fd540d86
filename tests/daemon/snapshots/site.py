"""A camera's snapshots with real parts: its analysed frames, a journal, and the writer with its folder."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sightd.daemon.config.model import Render
from sightd.daemon.config.snapshots import Snapshots
from sightd.daemon.events.event import PendingEvent
from sightd.daemon.events.journal import Journal
from sightd.daemon.pipeline.camera_pipeline import CameraPipeline
from sightd.daemon.snapshots.camera import CameraSnapshots
from sightd.daemon.snapshots.drawing import SnapshotDrawing
from sightd.daemon.snapshots.store import ANNOTATED, CLEAN
from sightd.daemon.snapshots.writer import MOST_MEMORY, SnapshotWriter
from sightd.plugins.api import EventRef, Frame, Image, Phase, PrivacyMask, Results, Tracks
from tests.support.event_counts import EventCounts
from tests.support.waiting import eventually

SIZE = (320, 240)
START = 1_900_000_000.0
"""When the first frame was captured, in s since the epoch: later than any clock's now, so nothing is too old."""
PLAIN = Render(status=False, trails=False)


class Counts:
    """Counts of a camera and of the folder."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.drops: list[str] = []
        self.deletions: list[str] = []
        self.size = 0

    def written(self, size: int) -> None:
        self.sizes.append(size)

    def dropped(self, reason: str) -> None:
        self.drops.append(reason)

    def deleted(self, reason: str) -> None:
        self.deletions.append(reason)

    def stored(self, size: int) -> None:
        self.size = size


def options(**changed: Any) -> Snapshots:
    return Snapshots.model_validate({"kinds": ["zone.*"], "min_free": 0, "quality": 95, **changed})


def shade_of(number: int) -> int:
    """Returns the brightness of frame `number`, by which its picture is recognised."""
    return 20 + 5 * number


def frame(number: int) -> Frame:
    """Returns an evenly grey frame, 100 ms after the one before."""
    image = np.full((SIZE[1], SIZE[0], 3), shade_of(number), np.uint8)
    return Frame.of(image, camera="gate", seq=number, captured_at=number / 10, wall_time=START + number / 10)


def tracks(*boxes: Sequence[float], score: float = 0.8, detected: bool = True) -> Tracks:
    """Returns tracks 1, 2, … with these boxes."""
    count = len(boxes)
    rows, numbers = np.full(count, score, np.float32), np.arange(1, count + 1)
    return Tracks(
        np.array(boxes, np.float32).reshape(-1, 4),
        rows,
        np.zeros(count, np.int64),
        numbers,
        rows,
        np.zeros((count, 2), np.float32),
        np.arange(count) if detected else np.full(count, -1),
        ("person",),
    )


def square(side: float) -> tuple[float, float, float, float]:
    return 100, 100, 100 + side, 100 + side


def event(number: int, kind: str, phase: Phase = Phase.ONCE, about: EventRef | None = None) -> PendingEvent:
    """Returns an event of track 1 on frame `number`."""
    return PendingEvent(kind, START + number / 10, "gate", "zones", {"track": 1, "zone": "yard"}, about, phase)


def reference(pending: PendingEvent) -> EventRef:
    return EventRef(pending.kind, pending.at, pending.facts)


def masked(*boxes: Sequence[float]) -> PrivacyMask:
    return PrivacyMask(np.array(boxes, np.float32).reshape(-1, 4))


class Site:
    """The camera "gate". `writer` is not started until `start`."""

    def __init__(self, folder: Path, *, render: Render = PLAIN, most_memory: int = MOST_MEMORY, **changed: Any) -> None:
        self.counts, self.folder = Counts(), folder / "snapshots"
        self.journal = Journal(folder / "events.db", 1e9, 1000, EventCounts())
        self.writer = SnapshotWriter(self.folder, options(**changed), self.counts, most_memory=most_memory)
        self.pipeline = CameraPipeline("gate", [])
        drawing = SnapshotDrawing("Gate", render, None, self.writer.options, self.pipeline)
        self.camera = CameraSnapshots("gate", render, drawing, self.writer, self.counts)

    def start(self) -> Site:
        self.writer.start()
        self.journal.start()
        return self

    def __enter__(self) -> Site:
        return self

    def __exit__(self, *_: object) -> None:
        self.camera.close()
        self.journal.close()
        self.writer.close()

    def analysed(self, number: int, *found: object, events: Sequence[PendingEvent] = ()) -> list[PendingEvent]:
        """Has frame `number` analysed, and its events recorded."""
        with self.of_frame(frame(number), *found, events=bool(events)):
            return self.recorded(*events)

    def of_frame(self, one: Frame, *found: object, events: bool = True) -> AbstractContextManager[None]:
        return self.camera.of_frame(one, Results(*found), {type(part) for part in found}, events)

    def recorded(self, *events: PendingEvent) -> list[PendingEvent]:
        """Has events recorded, and returns them with their snapshots."""
        pending = [self.camera.add_to(one) for one in events]
        for one in pending:
            self.journal.record(one)
        return pending

    def settle(self, count: int) -> None:
        """Waits until so many events have been stored, and their snapshots written or dropped."""
        eventually(lambda: self.journal.last_id == count, 20, "the events are stored")
        eventually(lambda: not any(map(self.writer.is_pending, range(1, count + 1))), 20, "the snapshots are written")

    def picture(self, number: int, ending: str = ANNOTATED) -> Image:
        image = cv2.imread(str(self.folder / "gate" / f"{number}{ending}"))
        assert image is not None
        return np.asarray(image, np.uint8)

    def frame_of(self, number: int) -> int:
        """Returns which frame the clean snapshot of an event shows."""
        return round((float(np.median(self.picture(number, CLEAN))) - shade_of(0)) / 5)

    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("*/*"))
