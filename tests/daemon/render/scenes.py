"""Images and results to draw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sightd.daemon.render.canvas import OutputCanvas
from sightd.daemon.render.surface import HostSurface
from sightd.daemon.render.text import SpriteCache
from sightd.daemon.render.theme import Layout
from sightd.plugins.api import Detections, Frame, Image, Tracks

LABELS = ("person", "bicycle", "car")


def grey(width: int = 640, height: int = 360, level: int = 90) -> Image:
    return np.full((height, width, 3), level, np.uint8)


def canvas_on(image: Image, scale: float = 1.0, sprites: SpriteCache | None = None) -> OutputCanvas:
    """Returns a canvas that draws into `image`."""
    kept = SpriteCache(Layout.of(image.shape[1], image.shape[0])) if sprites is None else sprites
    return OutputCanvas(HostSurface(image, kept), scale, kept)


def frame(image: Image | None = None, *, at: float = 100.0, wall: float = 1_700_000_000.0) -> Frame:
    return Frame.of(grey() if image is None else image, captured_at=at, wall_time=wall)


def detections(*boxes: Sequence[float], scores: Sequence[float] | None = None) -> Detections:
    n = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(n, 4),
        np.array([0.9] * n if scores is None else scores, np.float32),
        np.arange(n, dtype=np.int64) % len(LABELS),
        LABELS,
    )


def tracks(*boxes: Sequence[float], ids: Sequence[int] | None = None, predicted: bool = False) -> Tracks:
    n = len(boxes)
    rows = np.arange(n, dtype=np.int64)
    return Tracks(
        boxes=np.array(boxes, np.float32).reshape(n, 4),
        scores=np.full(n, 0.9, np.float32),
        class_ids=rows % len(LABELS),
        ids=rows + 1 if ids is None else np.array(ids, np.int64),
        ages=np.ones(n, np.float32),
        velocities=np.zeros((n, 2), np.float32),
        detection=np.full(n, -1, np.int64) if predicted else rows,
        labels=LABELS,
    )


def changed(before: Image, after: Image) -> tuple[int, int, int, int] | None:
    """Returns left, top, right, bottom of what differs; None if nothing does."""
    rows, columns = np.nonzero(np.any(before != after, axis=2))
    if not len(rows):
        return None
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1
