"""Runs a detector over a scene as the daemon would, and compares what it reports with the truth."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.eyes.scenes import SIZE, Scene, as_yuv, decoded
from sightd.daemon.config.model import Engines, Models
from sightd.daemon.pipeline.model_loading import engine_loading
from sightd.engines.geometry import iou
from sightd.engines.model import Model
from sightd.engines.sessions.engine import Engine
from sightd.plugins.activity.result import Activity
from sightd.plugins.api import Detections, FloatArray, Frame, Results
from sightd.plugins.detector import Detector
from sightd.plugins.detector.config import DetectorConfig

SMALL = (20, 60)
"""Heights of the persons that are counted, px."""
_MATCH = 0.4
"""Least IoU of a reported box with a true one."""
_SURE = 0.4
"""Least score of a person of the truth."""


class OneModel:
    """A plug-in's context that loads each model once."""

    name = "eyes"

    def __init__(self, threads: int = 1) -> None:
        self._load, self._threads = engine_loading(Models(), Engines()), threads
        self._engines: dict[str, Engine] = {}

    def engine(self, choice: Sequence[str | Model]) -> Engine:
        key = str(choice)
        if key not in self._engines:
            self._engines[key] = self._load(choice, self._threads, DetectorConfig())
        return self._engines[key]


def detector(context: OneModel, model: str, options: Mapping[str, Any]) -> Detector:
    opened = Detector(DetectorConfig.model_validate({"model": model, **options}))
    opened.open(context)
    return opened


@dataclass(frozen=True, slots=True)
class Moment:
    """One analysed frame: reported boxes of persons, runs of the model, CPU seconds."""

    at: float
    people: FloatArray
    runs: int
    seconds: float


class Footage:
    """A scene's frames, `fps` a second, rendered once and kept as YUV 4:2:0."""

    def __init__(self, scene: Scene, fps: float) -> None:
        self.scene, self.fps = scene, fps
        self._frames = [(at, as_yuv(image)) for at, image in scene.moments(fps)]

    def __iter__(self) -> Iterator[tuple[float, Frame]]:
        for seq, (at, yuv) in enumerate(self._frames):
            yield at, decoded(yuv, self.scene.name, seq, at)


def watched(footage: Footage, detector: Detector) -> list[Moment]:
    """Analyses all frames of a scene. CPU time is that of `process`, including the conversion to BGR that it causes, of
    all threads of this process."""
    found = []
    for at, frame in footage:
        begun = time.process_time()
        (result,) = detector.process([frame], [Results()])
        seconds = time.process_time() - begun
        activity = result.get(Activity)
        found.append(Moment(at, people_of(result), activity.runs if activity else 1, seconds))
    detector.forget(footage.scene.name)
    return found


def people_of(results: Results) -> FloatArray:
    detections = results.get(Detections) or Detections.none()
    if not len(detections):
        return detections.boxes
    people = detections.select(detections.class_ids == detections.labels.index("person"))
    return people.boxes


def truth(footage: Footage, exhaustive: Detector) -> list[FloatArray]:
    """Returns the boxes of the small persons that tiles at full resolution show on each frame, from a score of 0.4
    on."""
    found = []
    for moment in watched(footage, exhaustive):
        heights = moment.people[:, 3] - moment.people[:, 1]
        found.append(moment.people[(heights >= SMALL[0]) & (heights <= SMALL[1])])
    return found


def share_found(moments: Sequence[Moment], true: Sequence[FloatArray], after: float = 0.0) -> float:
    """Returns the share of the true boxes that were reported, on the frames from `after` s on."""
    hits = total = 0
    for moment, boxes in zip(moments, true, strict=True):
        if moment.at >= after:
            total += len(boxes)
            hits += int((iou(boxes, moment.people).max(axis=1, initial=0) >= _MATCH).sum()) if len(boxes) else 0
    return hits / max(total, 1)


def first_seen(scene: Scene, moments: Sequence[Moment]) -> dict[int, float]:
    """Returns the time from each person's arrival to the first frame on which they are reported; only those found."""
    delays: dict[int, float] = {}
    for moment in moments:
        for index, box in scene.boxes(moment.at):
            true = np.clip(np.array([box], np.float32), 0, [*SIZE, *SIZE])
            if index not in delays and len(moment.people) and iou(true, moment.people).max() >= _MATCH:
                delays[index] = moment.at - scene.people[index].path[0][0]
    return delays


def cpu_per_second(moments: Sequence[Moment], fps: float, after: float = 0.0) -> float:
    """Returns CPU milliseconds per second of video."""
    of = [moment.seconds for moment in moments if moment.at >= after]
    return 1e3 * fps * float(np.mean(of))


def runs_per_second(moments: Sequence[Moment], fps: float, after: float = 0.0) -> float:
    return fps * float(np.mean([moment.runs for moment in moments if moment.at >= after]))
