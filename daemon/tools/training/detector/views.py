"""Views of a frame: as the detector sees it, or moved, scaled, mirrored and lit differently, with its boxes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.engines.model import InputSpec
from sightd.engines.preprocess import letterbox, prepare
from sightd.plugins.api import FloatArray, Image, IntArray

_SCALE = (0.7, 1.4)
_SHIFT = 0.15
"""Largest shift, as a share of the input's side."""
_LIGHT, _COLOUR, _HUE = (0.6, 1.4), (0.6, 1.4), 8
_VISIBLE = 0.4
"""Least visible share of an object that is cut off by the border; one with less is no example of its class."""
_LEAST_SIDE = 3.0
"""Least side of a box, in pixels of the model's input."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """`matrix` [2, 3] maps pixels of the frame to pixels of the model's input; the gains are those of hue (added, in
    steps of 2 degrees), saturation and brightness (multiplied)."""

    matrix: NDArray[np.float64]
    hue: float = 0.0
    saturation: float = 1.0
    brightness: float = 1.0
    plain: bool = False
    """The detector's own input, which `engines.preprocess` makes."""

    def tensor(self, image: Image, spec: InputSpec) -> NDArray[np.float32]:
        """Returns the view [1, 3, h, w] of a BGR image."""
        if self.plain:
            return prepare([image], spec)[0]
        size, centres = (spec.width, spec.height), self.matrix.copy()
        centres[:, 2] += self.matrix[:, :2] @ (0.5, 0.5) - 0.5  # OpenCV's pixel 0 is the middle of the first pixel
        moved = cv2.warpAffine(image, centres, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        lit = self._lit(np.asarray(moved, np.uint8))
        lit[self._outside(image, size)] = spec.pad
        return prepare([lit], spec)[0]

    def _lit(self, image: Image) -> Image:
        levels = np.arange(256)
        table = np.stack(((levels + self.hue) % 180, levels * self.saturation, levels * self.brightness), 1)
        planes = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
        lit = cv2.LUT(planes, table.clip(0, (179, 255, 255)).astype(np.uint8)[None])
        return np.asarray(cv2.cvtColor(lit, cv2.COLOR_HSV2BGR), np.uint8)

    def _outside(self, image: Image, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Returns which pixels of the view the image does not reach: bool [h, w]."""
        height, width = image.shape[:2]
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]]) @ self.matrix[:, :2].T
        covered = np.zeros(size[::-1], np.uint8)
        cv2.fillConvexPoly(covered, np.rint(corners + self.matrix[:, 2] - 0.5).astype(np.int32), 1)
        outside: NDArray[np.bool_] = covered == 0
        return outside

    def boxes(self, boxes: FloatArray, labels: IntArray, spec: InputSpec) -> tuple[FloatArray, IntArray]:
        """Returns the boxes [n, 4] in pixels of the view, clipped to it, and their labels; without those of which too
        little is left."""
        corners = np.stack((boxes[:, :2], boxes[:, 2:]), 1) @ self.matrix[:, :2].T + self.matrix[:, 2]
        low, high = corners.min(1), corners.max(1)
        size = np.array([spec.width, spec.height], np.float64)
        cut_low, cut_high = np.clip(low, 0, size), np.clip(high, 0, size)
        sides = cut_high - cut_low
        kept = (sides.prod(1) >= _VISIBLE * (high - low).prod(1)) & (sides.min(1, initial=np.inf) >= _LEAST_SIDE)
        return np.concatenate((cut_low, cut_high), 1)[kept].astype(np.float32), labels[kept]


def plain_view(width: int, height: int, spec: InputSpec) -> View:
    """Returns the view that the detector has of a frame of that size."""
    left, top, inner_width, inner_height = letterbox(width, height, spec)
    matrix = np.array([[inner_width / width, 0, left], [0, inner_height / height, top]], np.float64)
    return View(matrix, plain=True)


def random_view(width: int, height: int, spec: InputSpec, random: np.random.Generator, *, mirror: bool) -> View:
    """Returns a random view; `mirror` lets half of them be mirrored."""
    matrix = np.vstack((plain_view(width, height, spec).matrix, (0, 0, 1)))
    centre = matrix[:2, :2] @ (width / 2, height / 2) + matrix[:2, 2]
    scale = float(np.exp(random.uniform(*np.log(_SCALE))))
    flip = -1.0 if mirror and random.random() < 0.5 else 1.0
    shift = random.uniform(-_SHIFT, _SHIFT, 2) * (spec.width, spec.height)
    change = np.array(
        [
            [flip * scale, 0, centre[0] + shift[0] - flip * scale * centre[0]],
            [0, scale, centre[1] + shift[1] - scale * centre[1]],
            [0, 0, 1],
        ]
    )
    hue, colour, light = (float(random.uniform(*limits)) for limits in ((-_HUE, _HUE), _COLOUR, _LIGHT))
    return View((change @ matrix)[:2], hue, colour, light)
