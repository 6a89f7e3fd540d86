"""The subjects to classify on a frame, and the regions that are cropped for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from sightd.plugins.api import Detections, Frame, Image, Results, Tracks
from sightd.plugins.classifier.config import ClassifierConfig
from sightd.plugins.classifier.scores import PICTURE

Part = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels of the frame; right and bottom are exclusive."""

_CENTRE = 224 / 256
"""Side of the centre square, as a share of the shorter side: the usual ImageNet evaluation since Krizhevsky et al. 2012
(shorter side resized to 256 pixels, then a centre crop of 224)."""


def part_of_picture(width: int, height: int, area: Literal["centre", "whole"]) -> Part:
    """Returns the centre square or the whole frame."""
    if area == "whole":
        return 0, 0, width, height
    side = max(1, round(_CENTRE * min(width, height)))
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def part_of_object(box: list[float], width: int, height: int, margin: float) -> Part | None:
    """Returns a square around the box, extended by `margin` of its longer side on each side and clipped to the frame.
    None for a box outside the frame."""
    x1, y1, x2, y2 = box
    if not (np.isfinite(box).all() and x1 < min(x2, width) and y1 < min(y2, height) and x2 > 0 and y2 > 0):
        return None
    half = (0.5 + margin) * max(x2 - x1, y2 - y1)
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    left, right = _within(x - half, x + half, width)
    top, bottom = _within(y - half, y + half, height)
    return (left, top, right, bottom) if left < right and top < bottom else None


def cut_out(image: Image, part: Part, size: tuple[int, int]) -> Image:
    """Returns the region resized to the model's `size` (width, height). Shrinking averages pixels, to avoid aliasing.
    If no resizing is needed, returns a view of the frame's memory, which is read-only."""
    left, top, right, bottom = part
    view = image[top:bottom, left:right]
    if view.shape[1::-1] == size:
        return view
    smaller = view.shape[1] >= size[0] and view.shape[0] >= size[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(view, size, interpolation=how), np.uint8)


def _within(low: float, high: float, end: int) -> tuple[int, int]:
    return max(0, min(end, round(low))), max(0, min(end, round(high)))


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
    if config.of == "picture":
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
