"""The tracker plug-in: one state per camera, updated by frames with detections and read by all others."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
from pydantic import Field

from sightd.engines.geometry import from_centre_size
from sightd.engines.models.catalog import Catalog
from sightd.plugins.activity.scene import View, change, is_other_scene, view_of
from sightd.plugins.api import (
    Appearances,
    ConfigProblem,
    Detections,
    Duration,
    Events,
    EventSpec,
    Frame,
    Plugin,
    PluginConfig,
    Results,
    Tracks,
)
from sightd.plugins.tracker import camera_tracks
from sightd.plugins.tracker.camera_tracks import ID, OBSERVED, WIDTH, CameraTracks, Reach, ended, moved
from sightd.plugins.tracker.lifecycle import LifecycleRules, step
from sightd.plugins.tracker.objects import SPECS, ReportedObjects
from sightd.plugins.tracker.reidentification import reidentified
from sightd.plugins.tracker.shapes import updated

_OUTAGE = 5.0
"""If no frame of a camera was analysed for this long (s), and for longer than `max_lost`, tracking starts over."""


class TrackerConfig(PluginConfig):
    """Options of the tracker."""

    renamed_options: ClassVar[Mapping[str, str]] = {"max_carry": "max_prediction"}

    high_score: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Detections with at least this score start tracks and are matched first. If it is too low, every "
        "doubtful box becomes an object. By default it is the score from which the detector's boxes are usually right: "
        "0.4 for transformers such as DEIM, D-FINE and RF-DETR, otherwise 0.5, but at least `low_score`.",
        examples=[0.4],
    )
    low_score: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Detections with at least this score keep existing tracks alive. Values below the min_score "
        "of the detector have no effect.",
    )
    min_overlap: float = Field(
        0.2,
        gt=0,
        le=1,
        description="Minimum overlap (intersection over union) of a track's predicted box and a detection; use a "
        "higher value for crowds.",
    )
    min_hits: int = Field(
        2,
        ge=1,
        description=(
            "Show a track after this many consecutive matches; tracks of the first frame are shown immediately. "
            "Doubtful ones, with scores hardly above `high_score`, are shown once they have moved."
        ),
    )
    confirm_within: Duration = Field(
        0.4,
        description="Show a track before `min_hits` matches if those would take longer than this; at 2 analysed "
        "frames per second or fewer, it is shown immediately.",
        examples=["400ms"],
    )
    max_lost: Duration = Field(
        1.5,
        description="An object that was not seen for longer than this gets a new id when it returns.",
        examples=["1500ms"],
    )
    remember: Duration = Field(
        20.0,
        description="With the plug-in `appearance`: an object that was not seen for up to this long gets its id back "
        "if it looks the same.",
    )
    show_lost: Duration = Field(
        0.3,
        description="Show an object that is out of sight at its predicted position for this long.",
        examples=["300ms"],
    )
    max_prediction: Duration = Field(
        1.5,
        description="Maximum time after the last analysed frame for which boxes are predicted.",
        examples=["1500ms"],
    )
    max_tracks: int = Field(300, ge=1, le=5000, description="Maximum number of objects to track per camera.")
    match_classes: bool = Field(
        True,
        description="Match tracks only with detections of the same class. If false, a track has the class that "
        "most of its detections had, weighted by score.",
    )
    use_image: bool = Field(
        True,
        description="Look at the image: follow a camera that pans or shakes, and end all tracks at a scene cut. Frames "
        "that were decoded on a GPU are not examined.",
    )

    def problems(self, networks: Catalog) -> list[ConfigProblem]:
        """Returns pairs of options that are in the wrong order."""
        found = []
        if self.high_score is not None and self.low_score > self.high_score:
            low = "low_score" in self.model_fields_set
            message = f"low_score ({self.low_score:g}) is greater than high_score ({self.high_score:g})"
            found.append(
                ConfigProblem(("low_score" if low else "high_score",), message, "lower low_score or raise high_score")
            )
        if self.show_lost > self.max_lost and "show_lost" in self.model_fields_set:
            message = f"show_lost ({self.show_lost:g} s) is greater than max_lost ({self.max_lost:g} s)"
            found.append(ConfigProblem(("show_lost",), message, "lower show_lost or raise max_lost"))
        return found


class Tracker(Plugin[TrackerConfig]):
    """Tracks objects: assigns ids, and predicts positions between analysed frames.

    ByteTrack, OC-SORT and C-BIoU together, in seconds instead of frames, so that it does not matter which frames are
    analysed. Follows a camera that moves, and ends all tracks at a scene cut.
    Masks, keypoints and oriented boxes of the detections move with the tracks. No id is ever reused within a camera.

    Threads: states are immutable and replaced whole; `predict` reads them without a lock; `process` and `forget`
    exclude each other.
    """

    Config: ClassVar[type[PluginConfig]] = TrackerConfig
    requires: ClassVar[frozenset[type]] = frozenset({Detections})
    uses: ClassVar[frozenset[type]] = frozenset({Appearances})
    produces: ClassVar[frozenset[type]] = frozenset({Tracks, Events})
    events: ClassVar[tuple[EventSpec, ...]] = SPECS

    def __init__(self, config: TrackerConfig) -> None:
        super().__init__(config)
        self._reach = Reach(show_lost=config.show_lost, max_prediction=config.max_prediction)
        self._cameras: dict[str, CameraTracks] = {}
        self._reported: dict[str, ReportedObjects] = {}
        self._first_id = 1
        """First id of a new camera: above the ids of all forgotten cameras, because it may be one of them."""
        self._turn = threading.Lock()

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        return [self._follow(frame, found) for frame, found in zip(frames, results, strict=True)]

    def _follow(self, frame: Frame, results: Results) -> Results:
        found = results.get(Detections)
        if found is None:
            return self.predict(frame, results)
        view = view_of(frame) if self.config.use_image else None
        with self._turn:
            before = self._state_for(frame)
            now = max(frame.captured_at, before.at)
            before = _in_view(before, view, now)
            looks = results.get(Appearances)
            after, detection, carried = step(before, found, now, self._rules_for(found), looks)
            after, kept = reidentified(before, after, detection, looks, self.config.remember)
            detection, carried = detection[kept], carried[kept]
            ids = after.rows[:, ID].astype(np.int64)
            rows = np.where(ids > 0, detection, -1)  # those that are not confirmed have no id by which to be found
            shapes = updated(before.shapes, ids, rows, found, results)
            self._cameras[frame.camera] = after = replace(after, shapes=shapes)
            events = self._events(frame, after)
        return Results(camera_tracks.seen(after, detection, carried, self._reach), events)

    def _events(self, frame: Frame, after: CameraTracks) -> Events:
        if frame.still:
            return Events(())
        reported = self._reported.get(frame.camera, ReportedObjects())
        self._reported[frame.camera], events = reported.after(after, frame.wall_time)
        return Events(events)

    def _rules_for(self, found: Detections) -> LifecycleRules:
        config, high = self.config, self.config.high_score
        if high is None:
            high = max(found.reliable_score, config.low_score)
        return LifecycleRules(
            high_score=high,
            low_score=min(config.low_score, high),
            min_overlap=config.min_overlap,
            min_hits=config.min_hits,
            confirm_within=config.confirm_within,
            max_lost=config.max_lost,
            max_tracks=config.max_tracks,
            match_classes=config.match_classes,
        )

    def _state_for(self, frame: Frame) -> CameraTracks:
        """Returns the camera's tracks; none if it is new, its frame size changed, or time jumped too far either way."""
        size = (frame.width, frame.height)
        known = self._cameras.get(frame.camera)
        if known is None:
            return CameraTracks(-np.inf, size, np.zeros((0, WIDTH)), (), self._first_id)
        passed = frame.captured_at - known.at
        outage = max(self.config.max_lost, _OUTAGE)
        if known.size != size or passed < -self.config.max_lost or passed > outage:
            return replace(ended(known), size=size)
        return known

    def predict(self, frame: Frame, results: Results) -> Results:
        """Returns the tracks predicted for the frame's time: none if the last analysed frame shows another scene, and
        no result if it is too far away."""
        known = self._cameras.get(frame.camera)
        if known is None or known.size != (frame.width, frame.height):
            return Results()
        if known.view is not None and is_other_scene(known.view.thumb, frame.thumb()):
            return Results(Tracks.none())  # without a result, the last scene's detections would be drawn
        tracks = camera_tracks.predicted(known, frame.captured_at, self._reach)
        return Results() if tracks is None else Results(tracks)

    def forget(self, camera: str) -> None:
        with self._turn:
            known = self._cameras.pop(camera, None)
            self._reported.pop(camera, None)
            if known is not None:
                self._first_id = max(self._first_id, known.next_id)

    def close(self) -> None:
        with self._turn:
            self._cameras.clear()
            self._reported.clear()


def _in_view(tracks: CameraTracks, view: View | None, now: float) -> CameraTracks:
    """Returns the tracks as seen by the camera in `view`: moved with it, or ended by a scene cut."""
    if view is None or tracks.view is None:
        return replace(tracks, view=view, drift=None)
    boxes = from_centre_size(tracks.rows[:, OBSERVED])
    what = change(tracks.view, view, boxes)
    if what.cut:
        tracks = ended(tracks)
    elif what.motion is not None:
        return replace(moved(tracks, what.motion, now), view=view)
    return replace(tracks, view=view, drift=None)
