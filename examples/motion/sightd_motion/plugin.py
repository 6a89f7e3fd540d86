"""Finds what moves, by comparing each frame with a slowly fading memory of those before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from pydantic import Field

from sightd.plugins.api import (
    Canvas,
    Count,
    CounterSpec,
    Detections,
    Duration,
    Event,
    Events,
    EventSpec,
    Frame,
    JsonOptions,
    JsonValue,
    Plugin,
    PluginConfig,
    Results,
)


class MotionConfig(PluginConfig):
    threshold: int = Field(25, ge=1, le=255, description="Minimum change of brightness that counts, of 255.")
    min_area: float = Field(0.002, gt=0, le=1, description="Minimum size of a moving object, as a share of the frame.")
    rest: Duration = Field(5.0, description="How long nothing moves before the next motion is reported as an event.")


@dataclass(frozen=True)
class Movement:
    """How much of a frame moves: the area of all moving objects as a share of the frame, 0-1."""

    share: float

    def to_json(self, results: Results, options: JsonOptions) -> dict[str, JsonValue]:
        return {"motion": {"share": round(self.share, 4)}}

    def counts(self) -> Iterator[Count]:
        yield Count("motion_frames", "moving" if self.share else "still")


@dataclass(frozen=True)
class _Memory:
    """What is remembered of a camera: a fading image, and when something moved last."""

    image: np.ndarray
    moved_at: float = float("-inf")


class Motion(Plugin[MotionConfig]):
    """Boxes around what moves."""

    Config: ClassVar[type[PluginConfig]] = MotionConfig
    produces: ClassVar[frozenset[type]] = frozenset({Detections, Movement, Events})
    metrics: ClassVar[tuple[CounterSpec, ...]] = (
        CounterSpec("motion_frames", "Frames on which something moved or nothing did.", "state", ("moving", "still")),
    )
    events: ClassVar[tuple[EventSpec, ...]] = (EventSpec("motion.began", "Something moves after a rest."),)

    def __init__(self, config: MotionConfig) -> None:
        super().__init__(config)
        self._memories: dict[str, _Memory] = {}

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> list[Results]:
        return [self._moving(frame) for frame in frames]

    def _moving(self, frame: Frame) -> Results:
        grey = cv2.GaussianBlur(cv2.cvtColor(frame.host(), cv2.COLOR_BGR2GRAY), (9, 9), 0).astype(np.float32)
        memory = self._memories.get(frame.camera)
        if memory is None or memory.image.shape != grey.shape:
            memory = _Memory(grey)
        changed = (np.abs(grey - memory.image) > self.config.threshold).astype(np.uint8)
        _, _, found, _ = cv2.connectedComponentsWithStats(changed)
        x, y, width, height, area = found[1:].T.astype(np.float32)
        large = area >= self.config.min_area * grey.size
        boxes = np.stack((x, y, x + width, y + height), axis=1)[large]
        movement = Movement(float(area[large].sum()) / grey.size)
        events = self._events(frame, movement, memory)
        moved_at = frame.captured_at if movement.share else memory.moved_at
        self._memories[frame.camera] = _Memory(0.8 * memory.image + 0.2 * grey, moved_at)
        classes = np.zeros(len(boxes), np.int64)
        return Results(Detections(boxes, np.ones(len(boxes), np.float32), classes, ("moving",)), movement, events)

    def _events(self, frame: Frame, movement: Movement, memory: _Memory) -> Events:
        if not movement.share or frame.captured_at - memory.moved_at < self.config.rest:
            return Events(())
        return Events((Event("motion.began", {"share": round(movement.share, 4)}),))

    def draw(self, canvas: Canvas, frame: Frame, results: Results) -> None:
        found = results.get(Detections)
        if found is not None and len(found):
            canvas.text((8, frame.height - 24), f"{len(found)} moving", (0, 200, 255))

    def forget(self, camera: str) -> None:
        self._memories.pop(camera, None)
