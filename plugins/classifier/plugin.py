"""The classifier plug-in: classifies whole frames or detected objects, and draws their classes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from sightd.engines.classification import Part, cut_out, part_of_object, part_of_picture, softmax
from sightd.engines.geometry import clip
from sightd.engines.sessions.engine import Engine
from sightd.plugins.activity.scene import is_other_scene
from sightd.plugins.api import (
    Canvas,
    Classification,
    Context,
    Detections,
    Events,
    EventSpec,
    FloatArray,
    Frame,
    Image,
    Plugin,
    PluginConfig,
    PluginError,
    Results,
    Tracks,
)
from sightd.plugins.classifier.changes import SPEC, ChangeRules, ReportedClasses, changes
from sightd.plugins.classifier.config import ClassifierConfig, OwnClassifier
from sightd.plugins.classifier.subjects import (
    PICTURE,
    CameraScores,
    ClassifiedSubject,
    SubjectScores,
    likeliest,
    subjects_of,
)

_INK = (235, 225, 205)
"""Text colour, BGR."""


def draw(canvas: Canvas, frame: Frame, found: Classification) -> None:
    """Draws the classes that are likely enough; for an object, only the most likely one."""
    for row in range(len(found)):
        likely = [(label, score) for label, _, score in found.of_row(row) if score >= found.shown_from]
        words = [f"{label} {score:.0%}" for label, score in likely]
        if not words:
            continue
        if found.tracks[row] < 0 and found.detection[row] < 0:
            canvas.text((0.02 * frame.height, 0.98 * frame.height), "  ·  ".join(words), _INK)
        else:
            left, _, _, bottom = found.boxes[row].tolist()
            canvas.text((left, bottom), words[0], _INK)


log = logging.getLogger(__name__)

_AT_ONCE = 16
"""Regions in one run of the model: the batch size that engines are built for."""
_STALE_AFTER = 1.0
"""How long, in s, the last answer about a whole frame is reused at least for frames not analysed."""


class Classifier(Plugin[ClassifierConfig]):
    """Classifies the whole frame, or each detected object.

    Answers are averaged over time, for each camera's frames or for each track, until a scene cut; a photograph is
    classified by itself.

    Threads: memories are immutable and replaced whole; `predict` reads them without a lock; `process` and `forget`
    exclude each other.
    """

    Config: ClassVar[type[PluginConfig]] = ClassifierConfig
    produces: ClassVar[frozenset[type]] = frozenset({Classification, Events})
    events: ClassVar[tuple[EventSpec, ...]] = (SPEC,)

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__(config)
        self._engine: Engine | None = None
        self._labels: tuple[str, ...] = ()
        self._warned = False
        self._memories: dict[str, CameraScores] = {}
        self._reported: dict[str, ReportedClasses] = {}
        self._rules = ChangeRules(config.min_score, config.change_after)
        self._turn = threading.Lock()

    def open(self, context: Context) -> None:
        """Loads the model and runs it once, so that a mismatch with its labels is reported now."""
        model = self.config.model.model() if isinstance(self.config.model, OwnClassifier) else self.config.model
        self._engine = context.engine([model])
        self._labels, spec = self._engine.model.labels, self._engine.model.input
        self._scores([np.zeros((spec.height, spec.width, 3), np.uint8)])

    def reconfigure(self, config: ClassifierConfig) -> None:
        """Takes over other options between two batches."""
        with self._turn:
            self.config, self._rules = config, ChangeRules(config.min_score, config.change_after)

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        with self._turn:
            chosen = [self._chosen(frame, found) for frame, found in zip(frames, results, strict=True)]
            every = zip(frames, chosen, strict=True)
            scores = self._scores([self._seen(frame, part) for frame, parts in every for _, part in parts])
            answered, begin = [], 0
            for frame, found, parts in zip(frames, results, chosen, strict=True):
                new = {one.key: scores[begin + n] for n, (one, _) in enumerate(parts)}
                begin += len(parts)
                answered.append(self._answered(frame, found, new))
            return answered

    def predict(self, frame: Frame, results: Results) -> Results:
        """Returns the last answers; for objects, at the positions that an earlier tracker predicts."""
        memory = self._memories.get(frame.camera)
        if memory is None or not memory.fits((frame.width, frame.height), frame.captured_at):
            return Results()
        if self.config.target == "frame" and frame.captured_at - memory.at > max(_STALE_AFTER, 2 * memory.pause):
            return Results()
        lasting = [one for one in subjects_of(frame, results, self.config) if one.lasts]
        return Results(self._view(frame, lasting, memory))

    def draw(self, canvas: Canvas, frame: Frame, results: Results) -> None:
        found = results.get(Classification)
        if found is not None:
            draw(canvas, frame, found)

    def forget(self, camera: str) -> None:
        with self._turn:
            self._memories.pop(camera, None)
            self._reported.pop(camera, None)

    def close(self) -> None:
        with self._turn:
            self._memories.clear()
            self._reported.clear()

    def _seen(self, frame: Frame, part: Part) -> Image:
        assert self._engine is not None, "process was called before open"
        spec = self._engine.model.input
        return cut_out(frame.host(), part, (spec.width, spec.height))

    def _memory_of(self, frame: Frame) -> CameraScores:
        size = (frame.width, frame.height)
        known = self._memories.get(frame.camera)
        if known is None or frame.still or not known.fits(size, frame.captured_at):
            return CameraScores.new(size)
        return CameraScores.new(size) if is_other_scene(known.thumb, frame.thumb()) else known

    def _chosen(self, frame: Frame, results: Results) -> list[tuple[ClassifiedSubject, Part]]:
        """Selects what is classified on this frame: the whole frame, or the objects whose turn it is."""
        if self.config.target == "frame":
            (whole,) = subjects_of(frame, results, self.config)
            return [(whole, part_of_picture(frame.width, frame.height, self.config.area))]
        if Tracks not in results and Detections not in results and not self._warned:
            self._warned = True
            log.warning("the classifier received no objects: put a detector before it in the chain of %s", frame.camera)
        seen = ((one, self._part_of(one, frame)) for one in self._in_turn(frame, results))
        parts = [(one, part) for one, part in seen if part is not None]
        return parts if frame.still else parts[: self.config.max_objects]

    def _part_of(self, one: ClassifiedSubject, frame: Frame) -> Part | None:
        return part_of_object(one.box, frame.width, frame.height, self.config.margin)

    def _in_turn(self, frame: Frame, results: Results) -> list[ClassifiedSubject]:
        """Orders tracks by the time since they were last classified, longest first. Detections have no identity across
        frames, so for them each frame starts at another row."""
        found = subjects_of(frame, results, self.config)
        if not all(one.lasts for one in found):
            first = frame.seq * self.config.max_objects % len(found)
            return [*found[first:], *found[:first]]
        known = {one.key: one for one in found}
        return [known[key] for key in self._memory_of(frame).in_turn(known)]

    def _answered(self, frame: Frame, results: Results, new: dict[int, FloatArray]) -> Results:
        objects = subjects_of(frame, results, self.config)
        if not all(one.lasts for one in objects):
            memory = CameraScores.new((frame.width, frame.height)).with_answers(new, frame.captured_at, 0.0)
            return Results(self._view(frame, objects, memory))
        memory = self._memory_of(frame).with_answers(new, frame.captured_at, self.config.smoothing_time)
        if frame.still:
            return Results(self._view(frame, objects, memory))
        self._memories[frame.camera] = memory = replace(memory, thumb=frame.thumb())
        return Results(self._view(frame, objects, memory), self._changes(frame, memory, new))

    def _changes(self, frame: Frame, memory: CameraScores, new: Iterable[int]) -> Events:
        reported = self._reported.get(frame.camera, {})
        known = {key: one for key, one in reported.items() if key == PICTURE or key in memory.answers}
        scores = {key: memory.answers[key].scores for key in new}
        self._reported[frame.camera], events = changes(known, scores, self._labels, frame.captured_at, self._rules)
        return Events(events)

    def _view(self, frame: Frame, objects: Iterable[ClassifiedSubject], memory: CameraScores) -> Classification:
        """Returns the remembered answers about these objects."""
        known = [(one, memory.answers[one.key]) for one in objects if one.key in memory.answers]
        return self._classification(frame, [one for one, _ in known], [answer for _, answer in known])

    def _classification(
        self, frame: Frame, objects: Sequence[ClassifiedSubject], answers: Sequence[SubjectScores]
    ) -> Classification:
        rows = np.array([answer.scores for answer in answers], np.float32).reshape(len(answers), len(self._labels))
        class_ids, scores = likeliest(rows, self.config.top)
        boxes = np.array([one.box for one in objects], np.float32).reshape(len(objects), 4)
        return Classification(
            boxes=clip(boxes, frame.width, frame.height),
            tracks=np.array([one.track for one in objects], np.int64),
            detection=np.array([one.detection for one in objects], np.int64),
            class_ids=class_ids,
            scores=scores,
            labels=self._labels,
            shown_from=self.config.min_score,
        )

    def _scores(self, images: Sequence[Image]) -> FloatArray:
        """Returns probabilities float32 [n, classes]. Raises PluginError for output of another size or not finite."""
        assert self._engine is not None, "process was called before open"
        found = [np.zeros((0, len(self._labels)), np.float32)]
        for begin in range(0, len(images), _AT_ONCE):
            batch = images[begin : begin + _AT_ONCE]
            output, *_ = self._engine.run(batch)[0].values()
            scores = output.reshape(len(batch), -1).astype(np.float32)
            if scores.shape[1] != len(self._labels):
                raise PluginError(
                    f"model {self._engine.model.name!r} produces {scores.shape[1]} scores, but there are "
                    f"{len(self._labels)} labels"
                )
            if not np.isfinite(scores).all():
                raise PluginError(f"model {self._engine.model.name!r} produces values that are not finite")
            found.append(scores if self._engine.model.head == "probabilities" else softmax(scores))
        return np.concatenate(found)
