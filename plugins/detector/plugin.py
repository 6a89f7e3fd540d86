"""The detector plug-in: runs its model on frames and produces `Detections`."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sightd.engines.cuda.launch.heads import HeadMismatchError
from sightd.plugins.api import Context, Plugin, PluginConfig, PluginError
from sightd.plugins.detector.config import DetectorConfig
from sightd.plugins.detector.heads import head_named
from sightd.plugins.detector.object_detector import ObjectDetector, object_detector_for
from sightd.plugins.detector.selection import Selection
from sightd.plugins.types import Detections, Frame, Results

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

    Keeps nothing but each camera's last result.
    """

    Config: ClassVar[type[PluginConfig]] = DetectorConfig
    gives: ClassVar[frozenset[type]] = frozenset({Detections})
    parallel: ClassVar[bool] = True

    _object_detector: ObjectDetector | None = None

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__(config)
        self._last: dict[str, _LastWord] = {}
        self._lock = threading.Lock()

    def open(self, context: Context) -> None:
        """Loads the model and runs it once on a black image, so that a file that does not match its head or labels is
        reported now and not on the first frame."""
        engine = context.engine(self.config.model.resolve())
        model = engine.model
        head = head_named(model.head, model.name)
        self._object_detector = object_detector_for(engine, head, Selection(self.config, model.labels))
        try:
            self._object_detector.find([Frame.of(np.zeros((model.input.height, model.input.width, 3), np.uint8))])
        except (PluginError, HeadMismatchError) as fault:
            raise PluginError(f"model {model.name!r}: {fault}") from None

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        """Runs the model once for the whole batch."""
        assert self._object_detector is not None, "process comes after open"
        found = [Results(boxes) for boxes in self._object_detector.find(frames)]
        for frame, result in zip(frames, found, strict=True):
            self._remember(frame, result)
        return found

    def carry(self, frame: Frame, results: Results) -> Results:
        """Returns the camera's last detections, unmoved, for half a second: no flicker without a tracker."""
        last = self._last.get(frame.camera)
        if last is None or last.size != (frame.width, frame.height):
            return Results()
        return last.results if frame.captured_at - last.captured_at <= _STALE_AFTER else Results()

    def forget(self, camera: str) -> None:
        with self._lock:
            self._last.pop(camera, None)

    def close(self) -> None:
        if self._object_detector is not None:
            self._object_detector.close()

    def _remember(self, frame: Frame, results: Results) -> None:
        """Stores a result. Workers may finish out of order, so only a newer frame replaces the stored one."""
        word = _LastWord(frame.captured_at, frame.seq, (frame.width, frame.height), results)
        with self._lock:
            last = self._last.get(frame.camera)
            if last is None or (last.captured_at, last.seq) <= (word.captured_at, word.seq):
                self._last[frame.camera] = word
