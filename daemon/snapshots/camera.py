"""Which frames of a camera become snapshots of its events: the event's own, or the best until something has ended."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from sightd.daemon.config.model import Render
from sightd.daemon.events.event import PendingEvent
from sightd.daemon.render.overlay import POINTS
from sightd.daemon.snapshots.drawing import Scene, SnapshotDrawing
from sightd.daemon.snapshots.snapshot import REDACTION, Snapshot, SnapshotObserver
from sightd.daemon.snapshots.writer import SnapshotWriter
from sightd.plugins.api import Faces, FloatArray, Frame, Phase, Results, Tracks

MOST_OPEN = 64
"""Events of a camera that have not ended and whose best snapshot is looked for; beyond this, not for the oldest."""
_BETTER = 1.2
"""A frame replaces the best one if it is better by this factor: each replacement is drawn and encoded."""
_PAUSE = 0.5
"""Minimum seconds between two replacements for an event."""
_GONE = 600.0
"""An event whose subject was not seen for so many seconds is taken for one whose end will not be reported."""


Subject = tuple[Literal["track", "face"], int]
"""The subject of an event: the number of an object's or of a face's track."""


def quality_of(results: Results, processed: Collection[type]) -> Mapping[Subject, float]:
    """Returns how well everybody who was detected on this frame is seen: the area of the box in px², times the score
    of an object or the quality of a face. `processed` are the types of results that are no predictions."""
    found: dict[Subject, float] = {}
    if (tracks := results.get(Tracks)) is not None and Tracks in processed:
        for row in np.flatnonzero(tracks.detection >= 0).tolist():
            found["track", int(tracks.ids[row])] = float(tracks.scores[row]) * _area(tracks.boxes[row])
    if (faces := results.get(Faces)) is not None and Faces in processed:
        for row, number in enumerate(faces.tracks.tolist()):
            found["face", number] = float(faces.qualities[row]) * _area(faces.boxes[row])
    return found


def subject_of(facts: Mapping[str, Any], results: Results) -> Subject | None:
    """Returns the subject of an event on this frame: the face that has its `box`, if there is one, else its `track`;
    None if it names neither."""
    box, faces = facts.get("box"), results.get(Faces)
    if faces is not None and len(faces.boxes) and isinstance(box, list) and len(box) == len(faces.boxes[0]):
        distance = np.abs(faces.boxes - np.array(box, np.float32)).max(axis=1)
        row = int(distance.argmin())
        if distance[row] <= 1:  # boxes in facts are rounded
            return "face", int(faces.tracks[row])
    track = facts.get("track")
    return ("track", track) if isinstance(track, int) else None


def _area(box: FloatArray) -> float:
    width, height = box[2:] - box[:2]
    return float(max(width, 0.0) * max(height, 0.0))


@dataclass(slots=True)
class _Open:
    """An event that has begun, and the best snapshot of its subject so far. Times are `captured_at`."""

    subject: Subject
    snapshot: Snapshot | None
    quality: float
    taken_at: float
    seen_at: float


class _Moment:
    """An analysed frame, of which one snapshot at most is taken, for all that need it. `at` and `wall_time` are when it
    was captured, `quality` is that of everybody on it."""

    def __init__(
        self, frame: Frame, results: Results, quality: Mapping[Subject, float], take: Callable[[], Snapshot | str]
    ) -> None:
        self.at, self.wall_time, self.results, self.quality = frame.captured_at, frame.wall_time, results, quality
        self._take = take
        self._taken: Snapshot | str | None = None

    def snapshot(self) -> Snapshot | str:
        """Returns the snapshot, or why there is none."""
        if self._taken is None:
            self._taken = self._take()
        return self._taken

    def end(self) -> None:
        if isinstance(self._taken, Snapshot):
            self._taken.release()


class CameraSnapshots:
    """Adds snapshots to the events of one camera. Thread-safe.

    An event gets the frame on which it happened. What ends an event gets the best frame of its subject since the
    beginning, by `quality_of`. Frames are only referred to: they are drawn and encoded by the writer's thread.
    """

    def __init__(
        self,
        camera: str,
        render: Render,
        drawing: SnapshotDrawing,
        writer: SnapshotWriter,
        observer: SnapshotObserver,
        status: Callable[[], tuple[float | None, float | None]] = lambda: (None, None),
    ) -> None:
        """`status` returns the camera's frame rate, and how many s late its frames arrive."""
        self._camera, self._drawing, self._writer, self._observer = camera, drawing, writer, observer
        self._status = status
        self._trail = render.trail_length if render.trails else 0.0
        self._before: deque[tuple[Tracks, float]] = deque(maxlen=POINTS + 1)
        self._open: OrderedDict[tuple[str, float, str], _Open] = OrderedDict()
        self._lock = threading.Lock()
        self._moment: _Moment | None = None
        self._closed = False

    @contextmanager
    def of_frame(self, frame: Frame, results: Results, processed: Collection[type], events: bool) -> Iterator[None]:
        """Context in which the events of a frame that was analysed are passed to `add_to`; `events`: whether it has
        any. Enter it for each such frame, in order. `processed` are the types of results that are no predictions."""
        tracks = results.get(Tracks)
        with self._lock:
            quality = quality_of(results, processed) if events or self._open else {}
            moment = self._moment = _Moment(frame, results, quality, lambda: self._taken(frame, results))
            self._improve(moment)
        try:
            yield
        finally:
            with self._lock:
                self._moment = None
                moment.end()
                if tracks is not None:
                    self._remember(tracks, frame.captured_at)

    def add_to(self, event: PendingEvent) -> PendingEvent:
        """Returns the event with the snapshots that it gets. One that does not belong to the frame of the context gets
        some only if it ends another."""
        with self._lock:
            if self._closed:
                return event
            if event.phase is Phase.ENDED and event.about is not None:
                one = self._open.pop(_key(event.about.kind, event.about.at, event.about.facts), None)
                if one is not None and one.snapshot is not None:
                    return self._linked(event, one.snapshot)
            moment = self._moment
            if moment is None or moment.wall_time != event.at or not self._writer.options.selects(event.kind):
                return event
            return self._with_own(event, moment)

    def close(self) -> None:
        """Forgets what has not ended. Idempotent."""
        with self._lock:
            self._closed = True
            while self._open:
                self._forget(next(iter(self._open)))
            self._before.clear()

    def _taken(self, frame: Frame, results: Results) -> Snapshot | str:
        scene = Scene(frame, results, tuple(self._before), *self._status())
        if not self._drawing.is_redacted(scene):
            return REDACTION
        return self._writer.take(self._camera, scene, self._drawing, self._observer)

    def _improve(self, moment: _Moment) -> None:
        for one in self._open.values():
            if (found := moment.quality.get(one.subject)) is None:
                continue
            one.seen_at = moment.at
            if found <= _BETTER * one.quality or moment.at - one.taken_at < _PAUSE:
                continue
            snapshot = moment.snapshot()
            if isinstance(snapshot, Snapshot):
                if one.snapshot is not None:
                    one.snapshot.release()
                one.snapshot, one.quality, one.taken_at = snapshot.hold(), found, moment.at

    def _with_own(self, event: PendingEvent, moment: _Moment) -> PendingEvent:
        snapshot = moment.snapshot()
        if event.phase is Phase.BEGAN:
            self._follow(event, snapshot if isinstance(snapshot, Snapshot) else None, moment)
        if isinstance(snapshot, Snapshot):
            return self._linked(event, snapshot.hold())
        self._observer.dropped(snapshot)
        return event

    def _linked(self, event: PendingEvent, snapshot: Snapshot) -> PendingEvent:
        """Takes over one hold."""
        listener = self._writer.for_event(snapshot, event.at)
        return replace(event, snapshot=True, clean_snapshot=True, listener=listener)

    def _follow(self, event: PendingEvent, snapshot: Snapshot | None, moment: _Moment) -> None:
        if (subject := subject_of(event.facts, moment.results)) is None:
            return
        for key in [key for key, one in self._open.items() if moment.at - one.seen_at > _GONE]:
            self._forget(key)
        if len(self._open) >= MOST_OPEN:
            self._forget(next(iter(self._open)))
        held = None if snapshot is None else snapshot.hold()
        best = 0.0 if snapshot is None else moment.quality.get(subject, 0.0)
        self._open[_key(event.kind, event.at, event.facts)] = _Open(subject, held, best, moment.at, moment.at)

    def _forget(self, key: tuple[str, float, str]) -> None:
        if (snapshot := self._open.pop(key).snapshot) is not None:
            snapshot.release()

    def _remember(self, tracks: Tracks, at: float) -> None:
        if self._trail and (not self._before or abs(at - self._before[-1][1]) >= self._trail / POINTS):
            self._before.append((replace(tracks, masks=None, keypoints=None, oriented=None), at))


def _key(kind: str, at: float, facts: Mapping[str, Any]) -> tuple[str, float, str]:
    return kind, at, json.dumps(dict(facts), sort_keys=True)
