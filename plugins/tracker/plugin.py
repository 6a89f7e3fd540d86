"""The tracker plug-in: one state per camera, updated by frames with detections and read by all others."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
from pydantic import Field

from sightd.engines.models.catalog import Catalog
from sightd.plugins.api import ConfigProblem, Detections, Duration, Frame, Plugin, PluginConfig, Results, Tracks
from sightd.plugins.tracker import camera_tracks
from sightd.plugins.tracker.camera_tracks import WIDTH, CameraTracks, Reach
from sightd.plugins.tracker.lifecycle import LifecycleRules, step

_OUTAGE = 5.0
"""If no frame of a camera was analysed for this long (s), and for longer than `max_lost`, tracking starts over."""


class TrackerConfig(PluginConfig):
    """Options of the tracker."""

    renamed_options: ClassVar[Mapping[str, str]] = {"max_carry": "max_prediction"}

    high_score: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Detections with at least this score start tracks and are matched first. If it is much "
        "lower, every doubtful box becomes an object.",
    )
    low_score: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Detections with at least this score keep existing tracks alive. Values below the min_score "
        "of the detector have no effect.",
    )
    min_overlap: float = Field(
        0.3,
        gt=0,
        le=1,
        description="Minimum overlap (intersection over union) of a track's predicted box and a detection; use a "
        "higher value for crowds.",
    )
    min_hits: int = Field(
        2,
        ge=1,
        description=(
            "Show a track after this many consecutive matches; tracks of the first frame are shown immediately."
        ),
    )
    confirm_within: Duration = Field(
        0.4,
        description="Show a track before `min_hits` matches if those would take longer than this; at 2 analysed "
        "frames per second or fewer, it is shown immediately.",
        examples=["400ms"],
    )
    max_lost: Duration = Field(
        1.0,
        description="An object that was not seen for longer than this gets a new id when it returns.",
        examples=["1s"],
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
    match_classes: bool = Field(True, description="Match tracks only with detections of the same class.")

    def problems(self, networks: Catalog) -> list[ConfigProblem]:
        """Returns pairs of options that are in the wrong order."""
        found = []
        if self.low_score > self.high_score:
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

    ByteTrack and OC-SORT together, in seconds instead of frames, so that it does not matter which frames are analysed.
    No id is ever reused within a camera.

    Threads: states are immutable and replaced whole; `predict` reads them without a lock; `process` and `forget`
    exclude each other.
    """

    Config: ClassVar[type[PluginConfig]] = TrackerConfig
    requires: ClassVar[frozenset[type]] = frozenset({Detections})
    produces: ClassVar[frozenset[type]] = frozenset({Tracks})

    def __init__(self, config: TrackerConfig) -> None:
        super().__init__(config)
        self._rules = LifecycleRules(
            high_score=config.high_score,
            low_score=min(config.low_score, config.high_score),
            min_overlap=config.min_overlap,
            min_hits=config.min_hits,
            confirm_within=config.confirm_within,
            max_lost=config.max_lost,
            max_tracks=config.max_tracks,
            match_classes=config.match_classes,
        )
        self._reach = Reach(show_lost=config.show_lost, max_prediction=config.max_prediction)
        self._cameras: dict[str, CameraTracks] = {}
        self._first_id = 1
        """First id of a new camera: above the ids of all forgotten cameras, because it may be one of them."""
        self._turn = threading.Lock()

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        return [self._follow(frame, found) for frame, found in zip(frames, results, strict=True)]

    def _follow(self, frame: Frame, results: Results) -> Results:
        found = results.get(Detections)
        if found is None:
            return self.predict(frame, results)
        with self._turn:
            before = self._state_for(frame)
            after, detection = step(before, found, max(frame.captured_at, before.at), self._rules)
            self._cameras[frame.camera] = after
        return Results(camera_tracks.seen(after, detection, self._reach))

    def _state_for(self, frame: Frame) -> CameraTracks:
        """Returns the camera's tracks; none if it is new, its frame size changed, or time jumped too far either way."""
        size = (frame.width, frame.height)
        known = self._cameras.get(frame.camera)
        if known is None:
            return CameraTracks(-np.inf, size, np.zeros((0, WIDTH)), (), self._first_id)
        passed = frame.captured_at - known.at
        outage = max(self._rules.max_lost, _OUTAGE)
        if known.size != size or passed < -self._rules.max_lost or passed > outage:
            return replace(known, at=-np.inf, interval=np.inf, size=size, rows=np.zeros((0, WIDTH)))
        return known

    def predict(self, frame: Frame, results: Results) -> Results:
        """Returns the tracks predicted for the frame's time; nothing if the last analysed frame is too far away."""
        known = self._cameras.get(frame.camera)
        if known is None or known.size != (frame.width, frame.height):
            return Results()
        tracks = camera_tracks.predicted(known, frame.captured_at, self._reach)
        return Results() if tracks is None else Results(tracks)

    def forget(self, camera: str) -> None:
        with self._turn:
            known = self._cameras.pop(camera, None)
            if known is not None:
                self._first_id = max(self._first_id, known.next_id)

    def close(self) -> None:
        with self._turn:
            self._cameras.clear()
