"""Finds what moves, by comparing each picture with a slowly fading memory of those before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import cv2
import numpy as np
from pydantic import Field

from sightd.plugins.api import Canvas, Detections, Frame, Plugin, PluginConfig, Results


class MotionConfig(PluginConfig):
    threshold: int = Field(25, ge=1, le=255, description="Least change of brightness that counts, of 255.")
    min_area: float = Field(0.002, gt=0, le=1, description="Least size of a moving thing, as a share of the picture.")


class Motion(Plugin[MotionConfig]):
    """Boxes around what moves."""

    Config: ClassVar[type[PluginConfig]] = MotionConfig
    gives: ClassVar[frozenset[type]] = frozenset({Detections})

    def __init__(self, config: MotionConfig) -> None:
        super().__init__(config)
        self._memory: dict[str, np.ndarray] = {}

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> list[Results]:
        return [Results(self._moving(frame)) for frame in frames]

    def _moving(self, frame: Frame) -> Detections:
        grey = cv2.GaussianBlur(cv2.cvtColor(frame.host(), cv2.COLOR_BGR2GRAY), (9, 9), 0).astype(np.float32)
        memory = self._memory.get(frame.camera)
        if memory is None or memory.shape != grey.shape:
            memory = grey
        self._memory[frame.camera] = 0.8 * memory + 0.2 * grey
        changed = (np.abs(grey - memory) > self.config.threshold).astype(np.uint8)
        _, _, found, _ = cv2.connectedComponentsWithStats(changed)
        x, y, width, height, area = found[1:].T.astype(np.float32)
        boxes = np.stack((x, y, x + width, y + height), axis=1)[area >= self.config.min_area * grey.size]
        return Detections(boxes, np.ones(len(boxes), np.float32), np.zeros(len(boxes), np.int64), ("moving",))

    def draw(self, canvas: Canvas, frame: Frame, results: Results) -> None:
        found = results.get(Detections)
        if found is not None and len(found):
            canvas.text((8, frame.height - 24), f"{len(found)} moving", (0, 200, 255))

    def forget(self, camera: str) -> None:
        self._memory.pop(camera, None)
