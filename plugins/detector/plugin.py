"""The detector plug-in: runs its model on frames, in host memory or entirely on the GPU, and produces `Detections`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

import numpy as np

from sightd.engines.cuda.launch.heads import HeadMismatchError
from sightd.engines.cuda.pipelines.detection import HeadParameters, RawDetections
from sightd.engines.cuda.pipelines.pools import DetectionPipelines
from sightd.engines.heads import is_oriented, reliable_score, suppresses
from sightd.engines.preprocess import Geometry
from sightd.engines.session import Tensor
from sightd.engines.sessions.engine import Engine
from sightd.plugins.activity.config import gate_options
from sightd.plugins.activity.result import Activity, draw_activity
from sightd.plugins.api import (
    Canvas,
    Context,
    Detections,
    Frame,
    Keypoints,
    Masks,
    OrientedBoxes,
    Plugin,
    PluginConfig,
    PluginError,
    PrivacyMask,
    Results,
)
from sightd.plugins.detector.config import DetectorConfig, ids_of
from sightd.plugins.detector.heads.decoding import Candidates, Head
from sightd.plugins.detector.heads.registry import head_of, require_head
from sightd.plugins.detector.heads.shapes import ReportedBoxes, ShapeReader
from sightd.plugins.detector.looking import LookingDetector
from sightd.plugins.detector.redaction import privacy_mask
from sightd.plugins.detector.selection import Selection, of_views
from sightd.plugins.detector.shaped import Shaped
from sightd.plugins.look.config import look_options
from sightd.plugins.look.merging import Suppression
from sightd.plugins.look.sheets import ImageSource

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WantedShapes:
    """What is reported of what a model finds besides boxes."""

    masks: bool = False
    keypoints: bool = False


_NO_SHAPES = WantedShapes()


class ObjectDetector(Protocol):
    """Finds the objects that the detector's configuration selects. Thread-safe; `close` is idempotent."""

    def find(self, frames: Sequence[Frame]) -> list[Detections]:
        """Returns the detections of each frame, in its own pixels, best first."""
        ...

    def shaped(self, images: Sequence[ImageSource]) -> list[Shaped]:
        """Returns the detections of each frame or sheet, in its own pixels, with their masks and keypoints."""
        ...

    def close(self) -> None: ...


class HostObjectDetector:
    """Prepares images and reads outputs on the CPU, wherever the model runs."""

    def __init__(self, engine: Engine, head: Head, selection: Selection, wanted: WantedShapes = _NO_SHAPES) -> None:
        self._engine, self._head, self._selection = engine, head, selection
        self._shapes = ShapeReader(engine.model, engine.session.outputs)
        self._wanted = wanted

    def find(self, frames: Sequence[Frame]) -> list[Detections]:
        """Raises PluginError if the model's outputs do not match the head."""
        return [found.detections for found in self.shaped(frames)]

    def shaped(self, images: Sequence[ImageSource]) -> list[Shaped]:
        """Raises PluginError if the model's outputs do not match the head."""
        outputs, geometries = self._engine.run([image.host() for image in images])
        candidates = self._head(outputs, self._engine.model.input, self._selection.min_score)
        return [
            self._shaped(outputs, picture, of_picture, geometry)
            for picture, (of_picture, geometry) in enumerate(zip(candidates, geometries, strict=True))
        ]

    def _shaped(
        self, outputs: Mapping[str, Tensor], picture: int, candidates: Candidates, geometry: Geometry
    ) -> Shaped:
        found, kept = self._selection.selected(candidates, geometry)
        if candidates.corners is not None:
            return Shaped(found, oriented=OrientedBoxes(geometry.points_to_source(candidates.corners[kept])))
        if candidates.rows is None:
            return Shaped(found)
        reported = ReportedBoxes(picture, found.boxes, candidates.rows[kept], geometry)
        return _with_shapes(found, outputs, reported, self._shapes, self._wanted)

    def close(self) -> None:
        """Holds nothing to release."""


def _with_shapes(
    found: Detections,
    outputs: Mapping[str, Tensor],
    reported: ReportedBoxes,
    shapes: ShapeReader,
    wanted: WantedShapes,
) -> Shaped:
    return Shaped(
        found,
        shapes.masks_of(outputs, reported) if wanted.masks and shapes.masks else None,
        shapes.keypoints_of(outputs, reported) if wanted.keypoints and shapes.keypoints else None,
    )


class DeviceObjectDetector:
    """Uploads frames to the GPU, unless they were decoded there, and downloads only boxes, and what masks and keypoints
    are made of. Regions are filtered here, because they are the only filter without a kernel."""

    def __init__(
        self,
        pipelines: DetectionPipelines,
        selection: Selection,
        host: HostObjectDetector,
        ordinal: int,
        shapes: ShapeReader,
        wanted: WantedShapes,
    ) -> None:
        """`ordinal` is the GPU of `pipelines`, which keep the outputs that `shapes` needs."""
        self._pipelines, self._selection, self._host, self._ordinal = pipelines, selection, host, ordinal
        self._shapes, self._wanted = shapes, wanted

    def find(self, frames: Sequence[Frame]) -> list[Detections]:
        """Raises HeadMismatchError if the model's outputs do not match the head."""
        return [found.detections for found in self.shaped(frames)]

    def shaped(self, images: Sequence[ImageSource]) -> list[Shaped]:
        """Raises HeadMismatchError if the model's outputs do not match the head."""
        read = [image.device(self._ordinal) or image.host() for image in images]
        found: list[Shaped] = []
        for image, placed in zip(images, self._pipelines.find(read), strict=True):
            shaped = self._shaped(placed)
            if shaped is None:
                logger.debug("too many boxes outside the regions for the GPU: this frame is decoded on the CPU")
                shaped = self._host.shaped([image])[0]
            found.append(shaped)
        return found

    def _shaped(self, placed: RawDetections) -> Shaped | None:
        selected = self._selection.within_regions(placed.found, placed.geometry)
        if selected is None:
            return None
        detections, kept = selected
        if placed.found.points is not None:
            return Shaped(detections, oriented=OrientedBoxes(placed.found.points[kept, :4]))
        needed = self._shapes.outputs(masks=self._wanted.masks, keypoints=self._wanted.keypoints)
        rows = kept if any(needed.values()) else placed.found.rows[kept]
        reported = ReportedBoxes(0, detections.boxes, rows, placed.geometry)
        return _with_shapes(detections, placed.outputs, reported, self._shapes, self._wanted)

    def close(self) -> None:
        self._pipelines.close()


def object_detector_for(
    engine: Engine, head: Head, selection: Selection, wanted: WantedShapes = _NO_SHAPES
) -> ObjectDetector:
    """Returns an object detector that uses the GPU if the engine supports the whole path there. Masks and keypoints are
    read on the CPU, from the outputs of frames with objects."""
    host = HostObjectDetector(engine, head, selection, wanted)
    shapes = ShapeReader(engine.model, engine.session.outputs)
    kept = shapes.outputs(masks=wanted.masks, keypoints=wanted.keypoints)
    pipelines = engine.detection_pipelines(HeadParameters(selection.min_score, selection.choice, kept))
    if pipelines is None or engine.gpu is None:
        return host
    return DeviceObjectDetector(pipelines, selection, host, engine.gpu.device.ordinal, shapes, wanted)


_STALE_AFTER = 0.5
"""How long, in s, the last detections stand in for frames not analysed; later, objects may have moved."""


@dataclass(frozen=True, slots=True)
class _LastWord:
    """The result of a camera's newest analysed frame."""

    captured_at: float
    seq: int
    size: tuple[int, int]
    results: Results


@dataclass(slots=True, eq=False)
class _Parts:
    """What the options make of an engine. The plug-in's lock guards `calls`, of `process`, and `retired`."""

    detector: ObjectDetector
    views: ObjectDetector | None
    looking: LookingDetector | None
    redacted: frozenset[int]
    max_detections: int
    reliable_score: float
    calls: int = 0
    retired: bool = False

    @classmethod
    def of(cls, engine: Engine, config: DetectorConfig) -> _Parts:
        """Raises PluginError if the options do not fit the model."""
        model = engine.model
        head, suppressed = head_of(model), suppresses(model.head)
        selection = Selection(config, model.labels, suppressed=suppressed)
        wanted = WantedShapes(config.masks, config.keypoints)
        redacted = frozenset(ids_of(config.redact, model.labels, "redact"))
        detector, views, looking = object_detector_for(engine, head, selection, wanted), None, None
        if look_options(config.look).mode != "frame" or gate_options(config.gate).mode != "off":
            of_parts = Selection(of_views(config), model.labels, suppressed=suppressed)
            views = object_detector_for(engine, head, of_parts, wanted)
            distinct = suppressed or is_oriented(model.head)  # the boxes around turned objects may overlap much
            within_views = config.agnostic or not distinct
            suppression = Suppression(config.nms_iou, config.agnostic, within_views)
            looking = LookingDetector(
                views,
                selection.labels,
                (model.input.width, model.input.height),
                suppression,
                look_options(config.look),
                gate_options(config.gate),
                selection.of_frame,
                model.input.pad,
            )
        return cls(detector, views, looking, redacted, config.max_detections, reliable_score(model.head))

    def retire(self) -> bool:
        """Marks it as replaced. Returns whether it can be closed now; otherwise after the calls that use it."""
        self.retired = True
        return not self.calls

    def close(self) -> None:
        for detector in (self.detector, self.views):
            if detector is not None:
                detector.close()


class Detector(Plugin[DetectorConfig]):
    """Detects objects of the model's classes on each frame.

    Keeps each camera's last result and, if it does not look at the whole of each frame, what it knows of the rest.
    """

    Config: ClassVar[type[PluginConfig]] = DetectorConfig
    produces: ClassVar[frozenset[type]] = frozenset(
        {Detections, Activity, Masks, Keypoints, OrientedBoxes, PrivacyMask}
    )
    parallel: ClassVar[bool] = True

    _engine: Engine | None = None
    _parts: _Parts | None = None

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__(config)
        self._last: dict[str, _LastWord] = {}
        self._sessions: dict[str, object] = {}
        """A camera's session begins with its first frame and ends with `forget`."""
        self._lock = threading.Lock()

    @property
    def redacts(self) -> bool:
        return bool(self.config.redact)

    def open(self, context: Context) -> None:
        """Loads the model and runs it on a generated and on a black image, so that a file that does not match its head
        or labels is reported now and not on the first frame."""
        self._engine = engine = context.engine(self.config.model.resolve())
        model = engine.model
        self._parts = parts = _Parts.of(engine, self.config)
        try:
            require_head(engine)
            parts.detector.find([Frame.of(np.zeros((model.input.height, model.input.width, 3), np.uint8))])
        except (PluginError, HeadMismatchError) as fault:
            raise PluginError(f"model {model.name!r}: {fault}") from None

    def reconfigure(self, config: DetectorConfig) -> None:
        """Prepares other filters for the same engine. Frames that are being processed keep the previous ones, which are
        closed after them. What is known of the parts of frames is forgotten."""
        assert self._engine is not None, "reconfigure was called before open"
        parts = _Parts.of(self._engine, config)
        with self._lock:
            before, self._parts, self.config = self._parts, parts, config
            unused = before is not None and before.retire()
        if before is not None and unused:
            before.close()

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        """Runs the model on the whole batch together."""
        with self._lock:
            sessions = [self._sessions.setdefault(frame.camera, object()) for frame in frames]
        with self._used() as parts:
            if parts.looking is None:
                shaped_frames = zip(frames, parts.detector.shaped(frames), strict=True)
                found = [self._reported(parts, frame, shaped) for frame, shaped in shaped_frames]
            else:
                looked = zip(frames, parts.looking.find(frames), strict=True)
                found = [self._reported(parts, frame, shaped, activity) for frame, (shaped, activity) in looked]
        for frame, result, session in zip(frames, found, sessions, strict=True):
            self._remember(frame, result, session)
        return found

    @contextmanager
    def _used(self) -> Iterator[_Parts]:
        """Keeps the parts from being closed meanwhile."""
        with self._lock:
            parts = self._parts
            assert parts is not None, "process was called before open"
            parts.calls += 1
        try:
            yield parts
        finally:
            with self._lock:
                parts.calls -= 1
                unused = parts.retired and not parts.calls
            if unused:
                parts.close()

    def _reported(self, parts: _Parts, frame: Frame, found: Shaped, *more: Activity) -> Results:
        detections = replace(found.detections, reliable_score=parts.reliable_score)
        results = replace(found, detections=detections).results().merged(Results(*more))
        if not self.redacts:
            return results
        return results.merged(Results(privacy_mask(found, parts.redacted, frame, parts.max_detections)))

    def predict(self, frame: Frame, results: Results) -> Results:
        """Returns the camera's last detections, unmoved, for half a second: no flicker without a tracker. It is not
        asked for frames of another scene."""
        last = self._last.get(frame.camera)
        if last is None or last.size != (frame.width, frame.height):
            return Results()
        return last.results if frame.captured_at - last.captured_at <= _STALE_AFTER else Results()

    def draw(self, canvas: Canvas, frame: Frame, results: Results) -> None:
        """Draws the activity map, if the gate's options ask for it."""
        activity = results.get(Activity)
        if activity is not None and gate_options(self.config.gate).draw:
            draw_activity(canvas, frame, activity)

    def forget(self, camera: str) -> None:
        with self._lock:
            self._last.pop(camera, None)
            self._sessions.pop(camera, None)
            looking = None if self._parts is None else self._parts.looking
        if looking is not None:
            looking.forget(camera)

    def close(self) -> None:
        if self._parts is not None:
            self._parts.close()

    def _remember(self, frame: Frame, results: Results, session: object) -> None:
        """Stores a result. Workers may finish out of order, so only a newer frame replaces the stored one; and none
        after `forget`."""
        word = _LastWord(frame.captured_at, frame.seq, (frame.width, frame.height), results)
        with self._lock:
            last = self._last.get(frame.camera)
            is_newer = last is None or (last.captured_at, last.seq) <= (word.captured_at, word.seq)
            if is_newer and self._sessions.get(frame.camera) is session:
                self._last[frame.camera] = word
