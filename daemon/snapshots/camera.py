"""Which frames of a camera become snapshots of its events: the event's own, or the best until something has ended."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sightd.daemon.config.model import Render
from sightd.daemon.events.event import PendingEvent
from sightd.daemon.render.overlay import POINTS
from sightd.daemon.snapshots.drawing import Scene, SnapshotDrawing
from sightd.daemon.snapshots.snapshot import REDACTION, Snapshot, SnapshotObserver
from sightd.daemon.snapshots.writer import SnapshotWriter
from sightd.plugins.api import Frame, Phase, Results, Tracks

MOST_OPEN = 64
"""Events of a camera that have not ended and whose best snapshot is looked for; beyond this, not for the oldest."""
_BETTER = 1.2
"""A frame replaces the best one if it is better by this factor: each replacement is drawn and encoded."""
_PAUSE = 0.5
"""Minimum seconds between two replacements for an event."""
_GONE = 600.0
"""An event whose track was not seen for so many seconds is taken for one whose end will not be reported."""


def quality_of(tracks: Tracks) -> Mapping[int, float]:
    """Returns how well each track that was detected on this frame is seen: its score times the area of its box in px²,
    by its number."""
    seen = tracks.detection >= 0
    sides = np.maximum(tracks.boxes[seen, 2:] - tracks.boxes[seen, :2], 0)
    quality = tracks.scores[seen] * sides[:, 0] * sides[:, 1]
    return dict(zip(tracks.ids[seen].tolist(), quality.tolist(), strict=True))


@dataclass(slots=True)
class _Open:
    """An event that has begun, and the best snapshot of its track so far. Times are `captured_at`."""

    track: int
    snapshot: Snapshot | None
    quality: float
    taken_at: float
    seen_at: float


class _Moment:
    """An analysed frame, of which one snapshot at most is taken, for all that need it. `at` and `wall_time` are when it
    was captured, `quality` is that of its tracks."""

    def __init__(self, frame: Frame, quality: Mapping[int, float], take: Callable[[], Snapshot | str]) -> None:
        self.at, self.wall_time, self.quality = frame.captured_at, frame.wall_time, quality
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

    An event gets the frame on which it happened. What ends an event of a track gets the best frame of the track since
    the beginning, by `quality_of`. Frames are only referred to: they are drawn and encoded by the writer's thread.
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
    def of_frame(self, frame: Frame, results: Results) -> Iterator[None]:
        """Context in which the events of a frame that was analysed are passed to `add_to`. Enter it for each such
        frame, in order."""
        tracks = results.get(Tracks)
        with self._lock:
            quality = {} if tracks is None else quality_of(tracks)
            moment = self._moment = _Moment(frame, quality, lambda: self._taken(frame, results))
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
            if (found := moment.quality.get(one.track)) is None:
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
        track = event.facts.get("track")
        if not isinstance(track, int):
            return
        for key in [key for key, one in self._open.items() if moment.at - one.seen_at > _GONE]:
            self._forget(key)
        if len(self._open) >= MOST_OPEN:
            self._forget(next(iter(self._open)))
        key = _key(event.kind, event.at, event.facts)
        best = moment.quality.get(track, 0.0) if snapshot is not None else 0.0
        self._open[key] = _Open(track, None if snapshot is None else snapshot.hold(), best, moment.at, moment.at)

    def _forget(self, key: tuple[str, float, str]) -> None:
        if (snapshot := self._open.pop(key).snapshot) is not None:
            snapshot.release()

    def _remember(self, tracks: Tracks, at: float) -> None:
        if self._trail and (not self._before or abs(at - self._before[-1][1]) >= self._trail / POINTS):
            self._before.append((replace(tracks, masks=None, keypoints=None, oriented=None), at))


def _key(kind: str, at: float, facts: Mapping[str, Any]) -> tuple[str, float, str]:
    return kind, at, json.dumps(dict(facts), sort_keys=True)
