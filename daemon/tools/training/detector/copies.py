"""Copies of labelled objects, put into other frames of their source: more scenes than were labelled.

Dwibedi et al. 2017, "Cut, Paste and Learn", arXiv 1708.01642. If the camera is fixed, what differs from its background
gives an object's outline, and the copy may stand behind what moves in the other frame.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.daemon.tools.label.labelled import LabelledFrame
from sightd.daemon.tools.training.detector.shares import source_of
from sightd.plugins.api import FloatArray, Image, IntArray

_MOST = 5
"""Most copies in one frame."""
_SCALE, _CONTRAST, _LIGHT = (0.7, 1.3), (0.8, 1.2), (0.7, 1.3)
_CLIMB = 0.15
"""Largest distance up or down from its own place, as a share of the frame's height: far objects stay small."""
_BEHIND, _VISIBLE = 0.7, 0.4
"""Share of the copies that stand behind what moves, and the least visible share of each."""
_COVERED = 0.3
"""Largest share of a box that another one may cover."""
_LEAST_SIDE = 8
_MOVES = 26
"""Least difference from the background, in grey levels, of what moves."""
_MARGIN = 8
"""Pixels around an object that its outline depends on."""
_LEAST_BACKGROUND, _MOST_BACKGROUND = 5, 25
"""Numbers of frames that a background is made of."""
_MOST_MOVING = 0.3
"""Share of moving pixels above which the camera does not count as fixed."""
_LEAST_OUTLINE = 0.3
"""Share of a box that an outline fills at least; otherwise the whole box is copied."""

Pixels = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Object:
    frame: int
    box: tuple[int, int, int, int]


class Copies:
    """Puts copies of labelled objects into frames. Classes are copied equally often."""

    def __init__(self, frames: Sequence[LabelledFrame], image: Callable[[int], Image], *, mirror: bool) -> None:
        """`image` returns the image of a frame by its index; `mirror` lets half of the copies be mirrored. Raises
        LabelError if an image cannot be read."""
        self._image, self._mirror = image, mirror
        self._sources = [source_of(frame) for frame in frames]
        self._objects: dict[str, dict[int, list[_Object]]] = defaultdict(lambda: defaultdict(list))
        indices = defaultdict[str, list[int]](list)
        for n, (frame, source) in enumerate(zip(frames, self._sources, strict=True)):
            indices[source].append(n)
            for label, box in _free_objects(frame):
                self._objects[source][label].append(_Object(n, box))
        self._backgrounds = {
            source: background([image(n) for n in spread(own, _MOST_BACKGROUND)]) for source, own in indices.items()
        }

    def added(
        self, frame: int, boxes: FloatArray, labels: IntArray, random: np.random.Generator
    ) -> tuple[Image, FloatArray, IntArray]:
        """Returns a copy of the frame's image with more objects in it, and all boxes [n, 4] and labels [n]."""
        source, image = self._sources[frame], self._image(frame).copy()
        classes = sorted(self._objects[source].items())
        back = self._backgrounds[source]
        moving = None if back is None else moves(image, back)
        for _ in range(int(random.integers(1, _MOST + 1)) if classes else 0):
            label, objects = classes[int(random.integers(len(classes)))]
            one = objects[int(random.integers(len(objects)))]
            piece, alpha = _varied(*self._cut(one, back), random, mirror=self._mirror)
            left, top = _position(one, piece, image, random)
            hidden = moving if random.random() < _BEHIND else None
            box = _put(image, piece, alpha, left, top, boxes, hidden)
            if box is not None:
                boxes = np.concatenate((boxes, np.array([box], np.float32)))
                labels = np.append(labels, label)
        return image, boxes, labels

    def _cut(self, one: _Object, back: Image | None) -> tuple[Pixels, Pixels]:
        """Returns the object's pixels [h, w, 3], and its outline [h, w], 0 or 1."""
        x1, y1, x2, y2 = one.box
        image = self._image(one.frame)
        outline = np.ones((y2 - y1, x2 - x1), np.float32)
        if back is not None:
            top, left = max(0, y1 - _MARGIN), max(0, x1 - _MARGIN)
            around = slice(top, y2 + _MARGIN), slice(left, x2 + _MARGIN)
            moving = moves(image[around], back[around])[y1 - top : y2 - top, x1 - left : x2 - left]
            outline = moving.astype(np.float32) if moving.mean() >= _LEAST_OUTLINE else outline
        return image[y1:y2, x1:x2].astype(np.float32), outline


def background(images: Sequence[Image]) -> Image | None:
    """Returns the median of the images if they show the same scene from a fixed camera, otherwise None."""
    if len(images) < _LEAST_BACKGROUND or len({image.shape for image in images}) > 1:
        return None
    made = np.median(np.stack(images), 0).astype(np.uint8)
    return made if np.mean([moves(image, made).mean() for image in images]) <= _MOST_MOVING else None


def moves(image: Image, back: Image) -> NDArray[np.bool_]:
    """Returns which pixels differ from the background, without single ones and small gaps: bool [h, w]."""
    differs = (cv2.absdiff(image, back).max(-1) > _MOVES).astype(np.uint8)
    clean = cv2.morphologyEx(differs, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    return np.asarray(cv2.morphologyEx(clean, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8)) > 0)


def spread(indices: Sequence[int], most: int) -> list[int]:
    """Returns at most `most` of the indices, evenly spread."""
    return [indices[int(n)] for n in np.linspace(0, len(indices) - 1, min(most, len(indices)))]


def _free_objects(frame: LabelledFrame) -> list[tuple[int, tuple[int, int, int, int]]]:
    """Returns label and box of the objects that neither the border nor another object cuts off."""
    boxes, labels = frame.arrays()
    found = []
    for n, box in enumerate(boxes):
        x1, y1, x2, y2 = (int(value) for value in box.round())
        inside = x1 > 1 and y1 > 1 and x2 < frame.width - 1 and y2 < frame.height - 1
        alone = _covered(box, np.delete(boxes, n, 0)) <= _COVERED / 3
        if inside and alone and min(x2 - x1, y2 - y1) >= _LEAST_SIDE:
            found.append((int(labels[n]), (x1, y1, x2, y2)))
    return found


def _covered(box: FloatArray, others: FloatArray) -> float:
    """Returns the largest share of the box, or of another one, that both have in common."""
    sides = np.minimum(others[:, 2:], box[2:]) - np.maximum(others[:, :2], box[:2])
    areas = np.minimum((others[:, 2:] - others[:, :2]).prod(1), (box[2:] - box[:2]).prod())
    return float((sides.clip(min=0).prod(1) / areas).max(initial=0))


def _varied(image: Pixels, alpha: Pixels, random: np.random.Generator, *, mirror: bool) -> tuple[Pixels, Pixels]:
    """Returns both with another size, contrast and brightness, and a soft edge."""
    scale = float(np.exp(random.uniform(*np.log(_SCALE))))
    size = max(6, round(image.shape[1] * scale)), max(6, round(image.shape[0] * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    image, alpha = (np.asarray(cv2.resize(one, size, interpolation=how), np.float32) for one in (image, alpha))
    if mirror and random.random() < 0.5:
        image, alpha = image[:, ::-1], alpha[:, ::-1]
    mean = image.mean((0, 1))
    lit = (image - mean) * random.uniform(*_CONTRAST) + mean * random.uniform(*_LIGHT)
    soft = np.asarray(cv2.GaussianBlur(np.pad(alpha, 1), (3, 3), 0), np.float32)[1:-1, 1:-1]
    return lit.clip(0, 255).astype(np.float32), soft


def _position(one: _Object, piece: Pixels, image: Image, random: np.random.Generator) -> tuple[int, int]:
    """Returns left and top of a copy: anywhere to the side, up to a quarter outside, and near its own height."""
    height, width = piece.shape[:2]
    top = one.box[1] + random.uniform(-_CLIMB, _CLIMB) * image.shape[0]
    return int(random.integers(-width // 4, max(1, image.shape[1] - width * 3 // 4))), round(
        float(np.clip(top, 0, max(0, image.shape[0] - height)))
    )


def _put(
    image: Image,
    piece: Pixels,
    alpha: Pixels,
    left: int,
    top: int,
    boxes: FloatArray,
    hidden: NDArray[np.bool_] | None,
) -> tuple[int, int, int, int] | None:
    """Blends the piece into the image, behind `hidden`, and returns its box within it; None, and nothing is changed, if
    it would cover another box or be hidden itself."""
    x1, y1 = max(0, left), max(0, top)
    x2, y2 = min(image.shape[1], left + piece.shape[1]), min(image.shape[0], top + piece.shape[0])
    if min(x2 - x1, y2 - y1) < 1 or _covered(np.array([x1, y1, x2, y2], np.float32), boxes) > _COVERED:
        return None
    part, inner = (slice(y1, y2), slice(x1, x2)), (slice(y1 - top, y2 - top), slice(x1 - left, x2 - left))
    seen = alpha[inner] if hidden is None else alpha[inner] * ~hidden[part]
    if seen.sum() < _VISIBLE * alpha[inner].sum():
        return None
    image[part] = (image[part] * (1 - seen[..., None]) + piece[inner] * seen[..., None]).round().astype(np.uint8)
    return x1, y1, x2, y2
