"""The zones plug-in: follows the objects of each camera through its zones and over its lines."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import ClassVar
from zoneinfo import ZoneInfo

from sightd.engines.log_throttle import LogThrottle
from sightd.plugins.api import (
    Canvas,
    Context,
    Events,
    EventSpec,
    Faces,
    Frame,
    Mode,
    Plugin,
    Results,
    Route,
    ServiceContext,
    Tracks,
)
from sightd.plugins.zones.config import CameraZones, ZonesConfig
from sightd.plugins.zones.drawing import draw_zones
from sightd.plugins.zones.events import FACTS, EventQueue
from sightd.plugins.zones.machine import step
from sightd.plugins.zones.plan import CameraPlan
from sightd.plugins.zones.result import ZoneCounts, added_by, counts_of
from sightd.plugins.zones.routes import ROUTES
from sightd.plugins.zones.service import ZoneService
from sightd.plugins.zones.sightings import sightings_of
from sightd.plugins.zones.state import CameraState, Kind
from sightd.plugins.zones.store import ZoneStore, ZoneStoreError, merged, store_of

log = logging.getLogger(__name__)

_HELP = {
    Kind.ENTERED: "An object has entered a zone.",
    Kind.LEFT: "An object has left a zone, or is not seen in it any more.",
    Kind.OCCUPIED: "An object has entered an empty zone.",
    Kind.EMPTY: "The last object has left a zone.",
    Kind.CROWDED: "As many objects as `crowd` says are in a zone; ended when there are fewer.",
    Kind.CROSSED: "An object has crossed a line.",
    Kind.LOITERING: "An object has been in a zone for as long as `loiter_after` says; ended when it leaves.",
    Kind.LEFT_BEHIND: "A thing rests in a zone, and nobody has been near it for as long as `left_behind_after` says.",
    Kind.REMOVED: "A thing that rested in a zone is not there any more.",
}


@dataclass(frozen=True, slots=True, eq=False)
class _Camera:
    """A camera after its last frame: its zones as configured and for its frame size, its state, and its events."""

    options: CameraZones
    plan: CameraPlan
    state: CameraState
    queue: EventQueue = field(default_factory=EventQueue)


class Zones(Plugin[ZonesConfig]):
    """Reports who enters and leaves zones, stays in them, and crosses lines.

    Threads: cameras' states are immutable and replaced whole; `process` and `forget` exclude each other.
    """

    Config: ClassVar[type[ZonesConfig]] = ZonesConfig
    requires: ClassVar[frozenset[type]] = frozenset({Tracks})
    uses: ClassVar[frozenset[type]] = frozenset({Faces})
    produces: ClassVar[frozenset[type]] = frozenset({ZoneCounts, Events})
    events: ClassVar[tuple[EventSpec, ...]] = tuple(
        EventSpec(str(kind), _HELP[kind], facts=FACTS[kind]) for kind in Kind
    )
    routes: ClassVar[Sequence[Route]] = ROUTES

    @classmethod
    def open_service(cls, config: ZonesConfig, context: ServiceContext, mode: Mode) -> ZoneService:
        return ZoneService(config, store_of(config, context.environ))

    def __init__(self, config: ZonesConfig) -> None:
        super().__init__(config)
        self._timezone: tzinfo | None = None if config.timezone is None else ZoneInfo(config.timezone)
        self._store: ZoneStore | None = None
        self._stored: Mapping[str, CameraZones] = {}
        self._throttle = LogThrottle()
        self._cameras: dict[str, _Camera] = {}
        self._turn = threading.Lock()

    def open(self, context: Context) -> None:
        self._store = store_of(self.config, os.environ)

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> list[Results]:
        self._refresh()
        with self._turn:
            return [self._processed(*pair) for pair in zip(frames, results, strict=True)]

    def predict(self, frame: Frame, results: Results) -> Results:
        """Returns the numbers after the last analysed frame."""
        known = self._cameras.get(frame.camera)
        if known is None or known.plan.size != (frame.width, frame.height):
            return Results()
        return Results(counts_of(known.state, known.plan, frame.captured_at))

    def draw(self, canvas: Canvas, frame: Frame, results: Results) -> None:
        counts = results.get(ZoneCounts)
        if counts is not None and self.config.draw:
            draw_zones(canvas, frame, counts)

    def forget(self, camera: str) -> None:
        with self._turn:
            self._cameras.pop(camera, None)

    def close(self) -> None:
        with self._turn:
            self._cameras.clear()

    def _refresh(self) -> None:
        """Reads the stored zones again if they have changed. If that fails, those read last apply."""
        try:
            self._stored = {} if self._store is None else self._store.load()
        except ZoneStoreError as error:
            if self._throttle.add():
                log.error("%s", error)

    def _processed(self, frame: Frame, results: Results) -> Results:
        known, tracks = self._camera(frame), results.get(Tracks)
        if tracks is None or frame.still:
            return Results(counts_of(known.state, known.plan, frame.captured_at), Events(()))
        sightings = sightings_of(tracks, results.get(Faces), known.plan.size)
        state, happened = step(
            known.state, sightings, frame.captured_at, self._local(frame), known.plan, self.config.lost_after
        )
        queue, events, dropped = known.queue.reported(happened, frame.wall_time)
        self._cameras[frame.camera] = _Camera(known.options, known.plan, state, queue)
        counts = counts_of(state, known.plan, frame.captured_at, added_by(happened, dropped))
        return Results(counts, Events(events))

    def _camera(self, frame: Frame) -> _Camera:
        """Returns what is known of a camera, with its zones as they are now."""
        size = (frame.width, frame.height)
        options = merged(self.config.of_camera(frame.camera), self._stored.get(frame.camera))
        known = self._cameras.get(frame.camera)
        if known is None or known.plan.size != size:
            return _Camera(options, CameraPlan.of(options, size), CameraState())
        if known.options == options:
            return known
        return _Camera(options, CameraPlan.of(options, size), known.state, known.queue)

    def _local(self, frame: Frame) -> datetime | None:
        """Returns the time of day of a frame; None if it has none, because it is from a file."""
        return datetime.fromtimestamp(frame.wall_time, self._timezone) if frame.wall_time > 0 else None
