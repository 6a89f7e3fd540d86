"""Synthetic input for plug-in tests: a scene of moving boxes, a plain canvas and a context."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np

from sightd.engines.errors import EngineError, ModelUnavailableError
from sightd.engines.geometry import clip
from sightd.engines.model import Model
from sightd.engines.sessions.engine import Engine
from sightd.plugins.api import Appearances, Detections, FloatArray, Frame, Image, Results, Tracks

LABELS = ("person", "bicycle", "car")


@dataclass(frozen=True, slots=True)
class Scene:
    """What one camera sees. Deterministic: the same `seed`, size and index always give the same frame.

    `boxes` objects move through a frame of `size` (width, height); frame `index` is captured at `start + index / fps`
    seconds.
    """

    camera: str = "camera"
    size: tuple[int, int] = (640, 360)
    boxes: int = 4
    fps: float = 10.0
    seed: int = 0
    start: float = 1000.0

    def frame(self, index: int) -> Frame:
        """Returns the frame; its image is drawn on first use."""
        at = self.start + index / self.fps
        return Frame(
            self.camera, index, self.size, lambda: self.image(index), captured_at=at, wall_time=1.7e9 + at, pts=at
        )

    def image(self, index: int) -> Image:
        width, height = self.size
        noise = np.random.default_rng((self.seed, index)).integers(0, 24, (height, width, 3), dtype=np.uint8)
        for row, (x1, y1, x2, y2) in enumerate(self.detections(index).boxes.astype(int).tolist()):
            cv2.rectangle(noise, (x1, y1), (x2, y2), (80 + 40 * row % 160, 200, 255 - 40 * row % 160), -1)
        return noise

    def detections(self, index: int) -> Detections:
        """Returns the objects as a detector would report them, clipped to the frame."""
        random = np.random.default_rng(self.seed)
        extent = np.array(self.size, np.float64)
        sizes = random.uniform(0.1, 0.25, (self.boxes, 2)) * extent
        places = random.uniform(0.2, 0.8, (self.boxes, 2)) * extent
        velocities = random.uniform(-0.1, 0.1, (self.boxes, 2)) * extent
        places = places + velocities * np.sin(index / self.fps)
        corners = np.concatenate((places - sizes / 2, places + sizes / 2), axis=1)
        return Detections(
            clip(corners, *self.size).astype(np.float32),
            random.uniform(0.6, 0.95, self.boxes).astype(np.float32),
            random.integers(0, len(LABELS), self.boxes),
            LABELS,
        )

    def tracks(self, index: int) -> Tracks:
        """Returns the same objects as a tracker would report them."""
        found = self.detections(index)
        rows = np.arange(self.boxes, dtype=np.int64)
        return Tracks(
            found.boxes,
            found.scores,
            found.class_ids,
            rows + 1,
            np.full(self.boxes, index / self.fps, np.float32),
            np.zeros((self.boxes, 2), np.float32),
            rows,
            LABELS,
        )

    def appearances(self, index: int) -> Appearances:
        """Returns how the same objects look: always the same, and each different."""
        vectors = np.random.default_rng(self.seed).normal(size=(self.boxes, 16))
        unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        return Appearances(np.arange(self.boxes, dtype=np.int64), unit, "synthetic")

    def results(self, index: int, requires: frozenset[type]) -> Results:
        """Returns those results of earlier plug-ins that are in `requires`. Raises ValueError for unknown types."""
        known = {Detections: self.detections, Tracks: self.tracks, Appearances: self.appearances}
        strange = sorted(kind.__name__ for kind in requires if kind not in known)
        if strange:
            raise ValueError(f"the kit cannot create {', '.join(strange)} as input for this plug-in")
        return Results(*(known[kind](index) for kind in known if kind in requires))


class BlankCanvas:
    """A black image of `size` (width, height); coordinates are scaled from an image of size `source`. Draws plainly,
    without label backgrounds."""

    def __init__(self, size: tuple[int, int], source: tuple[int, int] | None = None) -> None:
        width, height = size
        self._image: Image = np.zeros((height, width, 3), np.uint8)
        across, down = source or size
        self._scale = width / across, height / down

    @property
    def image(self) -> Image:
        return self._image

    @property
    def size(self) -> tuple[int, int]:
        return self._image.shape[1], self._image.shape[0]

    def box(self, xyxy: FloatArray, colour: tuple[int, int, int], label: str = "") -> None:
        x1, y1, x2, y2 = (float(value) for value in xyxy)
        cv2.rectangle(self._image, self._at(x1, y1), self._at(x2, y2), colour, 1)
        if label:
            self.text((x1, y1), label, colour)

    def text(self, xy: tuple[float, float], text: str, colour: tuple[int, int, int]) -> None:
        cv2.putText(self._image, text, self._at(*xy), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1)

    def line(self, points: FloatArray, colour: tuple[int, int, int], opacity: float = 1.0, width: float = 1.0) -> None:
        corners = np.array([self._at(x, y) for x, y in points.tolist()], np.int32)
        cv2.polylines(self._image, [corners], False, colour, max(1, round(width)))

    def _at(self, x: float, y: float) -> tuple[int, int]:
        return round(x * self._scale[0]), round(y * self._scale[1])


EngineLoader: TypeAlias = Callable[[Sequence[str | Model]], Engine]
"""Loads the first available model of a preference list, like `Context.engine`."""


class StubContext:
    """A context with engines from `load`; like the daemon, closes them (on `close`, or after a with-statement)."""

    def __init__(self, name: str = "checked", load: EngineLoader | None = None) -> None:
        self.name = name
        self._load = load
        self._engines: list[Engine] = []

    def engine(self, choice: Sequence[str | Model]) -> Engine:
        if self._load is None:
            raise EngineError("this check cannot load models: pass check_plugin(..., engine=...)")
        engine = self._load(choice)
        self._engines.append(engine)
        return engine

    def close(self) -> None:
        while self._engines:
            self._engines.pop().close()

    def __enter__(self) -> StubContext:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def no_network(choice: Sequence[str | Model]) -> Engine:
    """A loader without any available model; always raises ModelUnavailableError."""
    raise ModelUnavailableError("no model is available (this is a test of what happens then)")
