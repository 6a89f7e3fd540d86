"""Runs detection the way the engine allows: with arrays in host memory, or entirely on the GPU."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

from sightd.engines.cuda.detection_pipeline import HeadParameters
from sightd.engines.cuda.gpu_pipelines import DetectionPipelines
from sightd.engines.engine import Engine
from sightd.plugins.detector.candidates import Head
from sightd.plugins.detector.selection import Selection
from sightd.plugins.types import Detections, Frame

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
                logger.debug("more boxes outside the regions than the GPU gives: this picture is read on the CPU")
                boxes = self._host.find([frame])[0]
            found.append(boxes)
        return found

    def close(self) -> None:
        self._pipelines.close()


def object_detector_for(engine: Engine, head: Head, selection: Selection) -> ObjectDetector:
    """Returns a finder that uses the GPU if the engine supports the whole path there."""
    host = HostObjectDetector(engine, head, selection)
    pipelines = engine.detection_pipelines(HeadParameters(selection.min_score, selection.choice))
    if pipelines is None or engine.gpu is None:
        return host
    return DeviceObjectDetector(pipelines, selection, host, engine.gpu.device.ordinal)
