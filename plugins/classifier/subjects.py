"""The subjects to classify on a frame, their most probable classes, and scores averaged over time for each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from sightd.plugins.api import Detections, FloatArray, Frame, IntArray, Results, Tracks
from sightd.plugins.classifier.config import ClassifierConfig


def averaged(before: FloatArray, now: FloatArray, seconds: float, constant: float) -> FloatArray:
    """Returns the exponential moving average: before + (1 - e^(-t/τ)) · (now - before); `now` if τ is 0."""
    weight = 1.0 if constant <= 0 else 1 - math.exp(-max(seconds, 0.0) / constant)
    return before + np.float32(weight) * (now - before)


def likeliest(scores: FloatArray, count: int) -> tuple[IntArray, FloatArray]:
    """Returns class ids int64 [n, k] and scores float32 [n, k] of each row [n, classes], best first; equal scores are
    ordered by class id. k is `count`, or the number of classes if that is smaller."""
    order = np.argsort(-scores, axis=-1, kind="stable")[:, :count].astype(np.int64)
    return order, np.take_along_axis(scores, order, axis=-1).astype(np.float32)


PICTURE = -1
"""Key of the whole frame; tracks use their ids."""
_OUTAGE = 5.0
"""Age in s at which an answer no longer applies and is dropped."""


@dataclass(frozen=True, slots=True, eq=False)
class SubjectScores:
    """The answer about one subject: time-averaged scores float32 [classes], and when it was last classified (s)."""

    scores: FloatArray
    at: float


@dataclass(frozen=True, slots=True, eq=False)
class CameraScores:
    """The answers of one camera with frames of `size` (width, height), last updated at `at` (s), `pause` s after the
    previous update, with a frame of that `thumb` (`Frame.thumb`). Immutable; replaced as a whole."""

    size: tuple[int, int]
    at: float
    answers: Mapping[int, SubjectScores]
    pause: float = 0.0
    thumb: FloatArray | None = None

    @classmethod
    def new(cls, size: tuple[int, int]) -> CameraScores:
        return cls(size, float("-inf"), {})

    def fits(self, size: tuple[int, int], at: float) -> bool:
        """Whether a frame of that size and time belongs to the same sequence; it may be up to 5 s late."""
        return self.size == size and at >= self.at - _OUTAGE

    def in_turn(self, keys: Iterable[int]) -> list[int]:
        """Sorts keys: those never classified first, then by time since they were last classified, longest first."""
        return sorted(keys, key=lambda key: self.answers[key].at if key in self.answers else float("-inf"))

    def with_answers(self, new: Mapping[int, FloatArray], at: float, constant: float) -> CameraScores:
        """Returns a memory with the answers of a frame at `at` added: scores float32 [classes] by key, averaged over
        `constant` seconds. Drops what was not classified for 5 s, or for three pauses if that is longer."""
        outage = max(_OUTAGE, 3 * self.pause)
        after = {key: answer for key, answer in self.answers.items() if at - answer.at <= outage}
        for key, scores in new.items():
            before = after.get(key)
            mean = scores if before is None else averaged(before.scores, scores, at - before.at, constant)
            after[key] = SubjectScores(mean, at if before is None else max(at, before.at))
        pause = at - self.at if 0 < at - self.at < float("inf") else self.pause
        return CameraScores(self.size, max(at, self.at), after, pause)


@dataclass(frozen=True, slots=True)
class ClassifiedSubject:
    """The whole frame, or an object on it: box xyxy in pixels. `key` identifies it in the memory: the track id, or the
    row of a detection, which means nothing on the next frame. `track` and `detection` are -1 if there is none."""

    key: int
    box: list[float]
    track: int = -1
    detection: int = -1

    @property
    def lasts(self) -> bool:
        """Whether its key is still valid on the next frame."""
        return self.key == PICTURE or self.track >= 0


def subjects_of(frame: Frame, results: Results, config: ClassifierConfig) -> list[ClassifiedSubject]:
    """Returns the whole frame, or the objects of the requested classes: tracks, else detections."""
    if config.target == "frame":
        return [ClassifiedSubject(PICTURE, [0, 0, frame.width, frame.height])]
    tracks, detections = results.get(Tracks), results.get(Detections)
    if tracks is not None:
        rows = zip(tracks.boxes.tolist(), tracks.ids.tolist(), tracks.detection.tolist(), strict=True)
        return _wanted([ClassifiedSubject(number, box, number, row) for box, number, row in rows], tracks, config)
    if detections is None:
        return []
    found = [ClassifiedSubject(row, box, -1, row) for row, box in enumerate(detections.boxes.tolist())]
    return _wanted(found, detections, config)


def _wanted(
    found: list[ClassifiedSubject], source: Tracks | Detections, config: ClassifierConfig
) -> list[ClassifiedSubject]:
    if config.classes is None:
        return found
    wanted = {name.casefold() for name in config.classes}
    names = [source.labels[class_id].casefold() for class_id in source.class_ids.tolist()]
    return [one for one, name in zip(found, names, strict=True) if name in wanted]
