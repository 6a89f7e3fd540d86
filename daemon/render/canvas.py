"""What is drawn on: the output picture, with lengths that follow its size and places in source pixels."""

from __future__ import annotations

import math

import cv2
import numpy as np

from daemon.render.measures import Measures
from daemon.render.palette import Colour, shade
from daemon.render.stamp import Stamp
from daemon.render.stamps import Stamps
from plugins.types import FloatArray, Image

Rect = tuple[int, int, int, int]
"""Left, top, right, bottom in output pixels; right and bottom are outside."""

_MOST_PLACED = 64
"""Labels beyond these are laid where they come: looking for room would cost more than it shows."""


class OutputCanvas:
    """The picture of one frame while it is drawn; a `plugins.types.Canvas`. Used by one thread.

    `image` is BGR uint8, contiguous and writable; `scale` gives output pixels per source pixel.
    """

    __slots__ = ("_placed", "_stamps", "image", "scale")

    def __init__(self, image: Image, scale: float, stamps: Stamps) -> None:
        self.image = image
        self.scale = scale
        self._stamps = stamps
        self._placed: list[Rect] = []

    @property
    def measures(self) -> Measures:
        """How large things are drawn on this picture."""
        return self._stamps.measures

    def box(self, xyxy: FloatArray, colour: Colour, label: str = "") -> None:
        """A box in source pixels, with a label on a contrast plate. What is not in the picture is left out."""
        self.outline(xyxy, colour)
        if label:
            self.label(xyxy, colour, label)

    def outline(self, xyxy: FloatArray, colour: Colour) -> None:
        """The box alone."""
        place = self._on_picture(xyxy)
        if place is not None:
            self._draw_outline(place, colour)

    def label(self, xyxy: FloatArray, colour: Colour, text: str) -> None:
        """A box's label alone: above it, inside it or below it, where no other label lies if there is such a place."""
        box = self._on_picture(xyxy)
        if box is None:
            return
        stamp = self._stamps.label(text, colour)
        left, top, _, bottom = box
        gap = self.measures.halo + 1
        above = place = self._inside(stamp, left, top - stamp.height - gap)
        for y in (top + gap, bottom + gap, bottom - stamp.height - gap):
            if self._is_free(stamp, *place):
                break
            place = self._inside(stamp, left, y)
        self._lay(stamp, *(place if self._is_free(stamp, *place) else above))

    def text(self, xy: tuple[float, float], text: str, colour: Colour) -> None:
        """A line of text on a contrast plate; `xy` is its top left corner in source pixels, moved into the picture."""
        if not text or not (math.isfinite(xy[0]) and math.isfinite(xy[1])):
            return
        stamp = self._stamps.label(text, colour)
        self._lay(stamp, *self._inside(stamp, round(xy[0] * self.scale), round(xy[1] * self.scale)))

    def keep_free(self, place: Rect) -> None:
        """No label is laid on this place."""
        self._placed.append(place)

    def _lay(self, stamp: Stamp, x: int, y: int) -> None:
        stamp.on(self.image, x, y)
        if len(self._placed) < _MOST_PLACED:
            self._placed.append((x, y, x + stamp.width, y + stamp.height))

    def _is_free(self, stamp: Stamp, x: int, y: int) -> bool:
        right, bottom = x + stamp.width, y + stamp.height
        return not any(x < r and left < right and y < b and top < bottom for left, top, r, b in self._placed)

    def _inside(self, stamp: Stamp, x: int, y: int) -> tuple[int, int]:
        height, width = self.image.shape[:2]
        return max(0, min(x, width - stamp.width)), max(0, min(y, height - stamp.height))

    def _on_picture(self, xyxy: FloatArray) -> Rect | None:
        """The box in output pixels, cut so that its rim is on the picture; None where nothing of it is there."""
        height, width = self.image.shape[:2]
        left, top, right, bottom = (value * self.scale for value in xyxy.tolist())
        if not (left < right and top < bottom and left < width and top < height and right > 0 and bottom > 0):
            return None  # also where a coordinate is not a number
        rim = self.measures.halo
        x, y = round(min(max(left, rim), width - rim - 1)), round(min(max(top, rim), height - rim - 1))
        x_end, y_end = round(min(right, width - rim)), round(min(bottom, height - rim))
        return x, y, max(x_end, x + 1), max(y_end, y + 1)

    def _draw_outline(self, box: Rect, colour: Colour) -> None:
        """A rectangle with a dark rim outside; where it is large enough, with rounded and accented corners.

        Plain rectangles are the cheapest lines there are. They overwrite the corners, so these are put aside before
        and laid back, blended with the stamp, all four at once through a strided view.
        """
        m = self.measures
        stamp = self._stamps.corners(colour)
        corners = self._corners_of(box, stamp.width // 2)
        if corners is not None:
            aside = self._stamps.aside
            np.copyto(aside.reshape(corners.shape), corners)
        left, top, right, bottom = box[0], box[1], box[2] - 1, box[3] - 1
        dark = shade(colour)
        for inset in range(-m.halo, m.line):
            paint = dark if inset < 0 else colour
            cv2.rectangle(self.image, (left + inset, top + inset), (right - inset, bottom - inset), paint)
        if corners is not None:
            stamp.on(aside, 0, 0)
            np.copyto(corners, aside.reshape(corners.shape))

    def _corners_of(self, box: Rect, side: int) -> Image | None:
        """A view of the four corners of a box with its rim, [2, side, 2, side, 3]; None where they would overlap."""
        rim = self.measures.halo
        width, height = box[2] - box[0] + 2 * rim, box[3] - box[1] + 2 * rim
        if width < 2 * side or height < 2 * side:
            return None
        row = self.image.strides[0]
        return np.ndarray(
            (2, side, 2, side, 3),
            np.uint8,
            buffer=self.image,
            offset=(box[1] - rim) * row + (box[0] - rim) * 3,
            strides=((height - side) * row, row, (width - side) * 3, 3, 1),
        )
