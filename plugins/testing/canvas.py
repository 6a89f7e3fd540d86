"""A minimal canvas that accepts what a plug-in draws."""

from __future__ import annotations

import cv2
import numpy as np

from sightd.plugins.types import FloatArray, Image


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

    def _at(self, x: float, y: float) -> tuple[int, int]:
        return round(x * self._scale[0]), round(y * self._scale[1])
