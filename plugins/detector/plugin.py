"""The detector plug-in: runs its model on frames, in host memory or entirely on the GPU, and produces `Detections`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from sightd.engines.cuda.launch.heads import HeadMismatchError
from sightd.engines.cuda.pipelines.detection import HeadParameters
from sightd.engines.cuda.pipelines.pools import DetectionPipelines
from sightd.engines.heads import suppresses
from sightd.engines.model import Model
from sightd.engines.sessions.engine import Engine
from sightd.plugins.activity.config import gate_options
from sightd.plugins.activity.drawing import draw_activity
from sightd.plugins.activity.result import Activity
from sightd.plugins.api import Canvas, Context, Detections, Frame, Plugin, PluginConfig, PluginError, Results
from sightd.plugins.detector.config import DetectorConfig
from sightd.plugins.detector.heads.decoding import Head
from sightd.plugins.detector.heads.registry import head_of, require_head
from sightd.plugins.detector.looking import LookingDetector
from sightd.plugins.detector.selection import Selection, of_views
from sightd.plugins.look.config import look_options
from sightd.plugins.look.merging import Suppression

logger = logging.getLogger(__name__)


class ObjectDetector(Protocol):
    """Finds the objects that the detector's configuration selects. Thread-safe; `close` is idempotent."""

    def find(self, frames: Sequence[Frame]) -> list[Detections]:
        """Returns the detections of each frame, in its own pixels, best first."""
        ...

    def close(self) -> None: ...


class HostObjectDetector:
    """Prepares images and reads outputs on the CPU, wherever the model runs."""

    def __init__(self, engine: Engine, head: Head, selection: Selection) -> None:
        self._engine, self._head, self._selection = engine, head, selection

    def find(self, frames: Sequence[Frame]) -> list[Detections]:
        """Raises PluginError if the model's outputs do not match the head."""
        outputs, geometries = self._engine.run([frame.host() for frame in frames])
        candidates = self._head(outputs, self._engine.model.input, self._selection.min_score)
        return [
            self._selection.detections(of_picture, geometry)
            for of_picture, geometry in zip(candidates, geometries, strict=True)
        ]

    def close(self) -> None:
        """Holds nothing to release."""


class DeviceObjectDetector:
    """Uploads frames to the GPU, unless they were decoded there, and downloads only boxes. Regions are filtered here,
    because they are the only filter without a kernel."""

    def __init__(
        self, pipelines: DetectionPipelines, selection: Selection, host: HostObjectDetector, ordinal: int
    ) -> None:
        """`ordinal` is the GPU of `pipelines`."""
        self._pipelines, self._selection, self._host, self._ordinal = pipelines, selection, host, ordinal

    def find(self, frames: Sequence[Frame]) -> list[Detections]:
        """Raises HeadMismatchError if the model's outputs do not match the head."""
        images = [frame.device(self._ordinal) or frame.host() for frame in frames]
        found: list[Detections] = []
        for frame, placed in zip(frames, self._pipelines.find(images), strict=True):
            boxes = self._selection.within_regions(placed.found, placed.geometry)
            if boxes is None:
                logger.debug("too many boxes outside the regions for the GPU: this frame is decoded on the CPU")
                boxes = self._host.find([frame])[0]
            found.append(boxes)
        return found

    def close(self) -> None:
        self._pipelines.close()


def object_detector_for(engine: Engine, head: Head, selection: Selection) -> ObjectDetector:
    """Returns an object detector that uses the GPU if the engine supports the whole path there."""
    host = HostObjectDetector(engine, head, selection)
    pipelines = engine.detection_pipelines(HeadParameters(selection.min_score, selection.choice))
    if pipelines is None or engine.gpu is None:
        return host
    return DeviceObjectDetector(pipelines, selection, host, engine.gpu.device.ordinal)


_STALE_AFTER = 0.5
"""How long, in s, the last detections stand in for frames not analysed; later, objects may have moved."""


@dataclass(frozen=True, slots=True)
class _LastWord:
    """The result of a camera's newest analysed frame."""

    captured_at: float
    seq: int
    size: tuple[int, int]
    results: Results


class Detector(Plugin[DetectorConfig]):
    """Detects objects of the model's classes on each frame.

    Keeps each camera's last result and, if it does not look at the whole of each frame, what it knows of the rest.
    """

    Config: ClassVar[type[PluginConfig]] = DetectorConfig
    produces: ClassVar[frozenset[type]] = frozenset({Detections, Activity})
    parallel: ClassVar[bool] = True

    _object_detector: ObjectDetector | None = None
    _views: ObjectDetector | None = None
    _looking: LookingDetector | None = None

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__(config)
        self._last: dict[str, _LastWord] = {}
        self._sessions: dict[str, object] = {}
        """A camera's session begins with its first frame and ends with `forget`."""
        self._lock = threading.Lock()

    def open(self, context: Context) -> None:
        """Loads the model and runs it on a generated and on a black image, so that a file that does not match its head
        or labels is reported now and not on the first frame."""
        engine = context.engine(self.config.model.resolve())
        model = engine.model
        head, suppressed = head_of(model), suppresses(model.head)
        self._selection = Selection(self.config, model.labels, suppressed=suppressed)
        self._object_detector = object_detector_for(engine, head, self._selection)
        if look_options(self.config.look).mode != "frame" or gate_options(self.config.gate).mode != "off":
            of_parts = Selection(of_views(self.config), model.labels, suppressed=suppressed)
            self._views = object_detector_for(engine, head, of_parts)
            suppression = Suppression(
                self.config.nms_iou, self.config.agnostic, within_views=self.config.agnostic or not suppressed
            )
            self._looking = self._looking_with(self._views, model, suppression, context.name)
        if model.ignored_columns or any(len(spec.shape) == 4 for spec in engine.session.outputs.values()):
            logger.warning("%s also finds masks or keypoints, which are not read: only its boxes are", model.name)
        try:
            require_head(engine)
            self._object_detector.find([Frame.of(np.zeros((model.input.height, model.input.width, 3), np.uint8))])
        except (PluginError, HeadMismatchError) as fault:
            raise PluginError(f"model {model.name!r}: {fault}") from None

    def _looking_with(
        self, views: ObjectDetector, model: Model, suppression: Suppression, name: str
    ) -> LookingDetector:
        look, gate = look_options(self.config.look), gate_options(self.config.gate)
        if isinstance(views, DeviceObjectDetector) and look.mode != "frame":
            logger.info("%s: parts of frames are cut out on the CPU and uploaded; whole frames stay on the GPU", name)
        sides = (model.input.width, model.input.height)
        return LookingDetector(views, self._selection.labels, sides, suppression, look, gate)

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        """Runs the model on the whole batch together."""
        assert self._object_detector is not None, "process was called before open"
        with self._lock:
            sessions = [self._sessions.setdefault(frame.camera, object()) for frame in frames]
        if self._looking is None:
            found = [Results(boxes) for boxes in self._object_detector.find(frames)]
        else:
            found = [
                Results(self._selection.of_frame(boxes, frame.width, frame.height), activity)
                for frame, (boxes, activity) in zip(frames, self._looking.find(frames), strict=True)
            ]
        for frame, result, session in zip(frames, found, sessions, strict=True):
            self._remember(frame, result, session)
        return found

    def predict(self, frame: Frame, results: Results) -> Results:
        """Returns the camera's last detections, unmoved, for half a second: no flicker without a tracker."""
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
        if self._looking is not None:
            self._looking.forget(camera)

    def close(self) -> None:
        for detector in (self._object_detector, self._views):
            if detector is not None:
                detector.close()

    def _remember(self, frame: Frame, results: Results, session: object) -> None:
        """Stores a result. Workers may finish out of order, so only a newer frame replaces the stored one; and none
        after `forget`."""
        word = _LastWord(frame.captured_at, frame.seq, (frame.width, frame.height), results)
        with self._lock:
            last = self._last.get(frame.camera)
            is_newer = last is None or (last.captured_at, last.seq) <= (word.captured_at, word.seq)
            if is_newer and self._sessions.get(frame.camera) is session:
                self._last[frame.camera] = word
