"""What is drawn on: the output picture, with lengths that follow its size and places in source pixels."""

from __future__ import annotations

import math

import cv2

from daemon.render.measures import Measures
from daemon.render.palette import Colour
from daemon.render.stamp import Rect, Stamp
from daemon.render.stamps import HALO, Stamps
from plugins.types import FloatArray, Image

_MOST_PLACED = 64
"""Labels beyond these are laid where they come: looking for room would cost more than it shows."""


class OutputCanvas:
    """The picture of one frame while it is drawn; a `plugins.types.Canvas`. Used by one thread.

    `image` is BGR uint8 and writable; `scale` gives output pixels per source pixel.
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
        self.mark(xyxy, colour, label)

    def mark(self, xyxy: FloatArray, colour: Colour, label: str, *, outline: bool = True) -> None:
        """As `box`, where the outline can be left out."""
        place = self._on_picture(xyxy)
        if place is None:
            return
        if outline:
            self._outline(place, colour)
        if label:
            self._label(place, colour, label)

    def text(self, xy: tuple[float, float], text: str, colour: Colour) -> None:
        """A line of text on a contrast plate; `xy` is its top left corner in source pixels, moved into the picture."""
        if not text or not (math.isfinite(xy[0]) and math.isfinite(xy[1])):
            return
        stamp = self._stamps.label(text, colour)
        self._lay(stamp, *self._inside(stamp, round(xy[0] * self.scale), round(xy[1] * self.scale)))

    def keep_free(self, place: Rect) -> None:
        """No label is laid on this place."""
        self._placed.append(place)

    def _label(self, box: Rect, colour: Colour, text: str) -> None:
        """A label at a box in output pixels: above it, inside it or below it, wherever no other label lies."""
        stamp = self._stamps.label(text, colour)
        left, top, _, bottom = box
        gap = self._stamps.measures.halo + 1
        places = [
            self._inside(stamp, left, y)
            for y in (top - stamp.height - gap, top + gap, bottom + gap, bottom - stamp.height - gap)
        ]
        free = (place for place in places if self._is_free(stamp, *place))
        self._lay(stamp, *next(free, places[0]))

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
        """The box in output pixels, cut to the picture; None where nothing of it is there."""
        height, width = self.image.shape[:2]
        left, top, right, bottom = (float(value) * self.scale for value in xyxy)
        if not (left < right and top < bottom and left < width and top < height and right > 0 and bottom > 0):
            return None  # also where a coordinate is not a number
        left, top = max(0.0, left), max(0.0, top)
        right, bottom = min(float(width), right), min(float(height), bottom)
        x, y = min(round(left), width - 1), min(round(top), height - 1)
        return x, y, max(round(right), x + 1), max(round(bottom), y + 1)

    def _outline(self, box: Rect, colour: Colour) -> None:
        m = self._stamps.measures
        left, top, right, bottom = box
        line, rim = m.line, m.halo
        first, last = left + m.arm, right - m.arm
        if first < last:
            self._stroke(first, top, last, min(top + line, bottom), colour, 0, rim)
            self._stroke(first, max(bottom - line, top), last, bottom, colour, 0, rim)
        first, last = top + m.arm, bottom - m.arm
        if first < last:
            self._stroke(left, first, min(left + line, right), last, colour, rim, 0)
            self._stroke(max(right - line, left), first, right, last, colour, rim, 0)
        self._corners(box, colour)

    def _stroke(self, left: int, top: int, right: int, bottom: int, colour: Colour, aside: int, above: int) -> None:
        """A straight line with a dark rim on its long sides."""
        rim = self.image[max(0, top - above) : bottom + above, max(0, left - aside) : right + aside]
        cv2.convertScaleAbs(rim, dst=rim, alpha=1 - HALO)
        self.image[top:bottom, left:right] = colour

    def _corners(self, box: Rect, colour: Colour) -> None:
        rim = self._stamps.measures.halo
        left, top, right, bottom = box
        middle_x, middle_y = (left + right + 1) // 2, (top + bottom + 1) // 2
        far, near = 1 << 30, -(1 << 30)
        stamp = self._stamps.corner(colour)
        x, y = left - rim, top - rim
        x_end, y_end = right + rim - stamp.width, bottom + rim - stamp.height
        stamp.on(self.image, x, y, (near, near, middle_x, middle_y))
        self._stamps.corner(colour, 1).on(self.image, x_end, y, (middle_x, near, far, middle_y))
        self._stamps.corner(colour, 0).on(self.image, x, y_end, (near, middle_y, middle_x, far))
        self._stamps.corner(colour, 0, 1).on(self.image, x_end, y_end, (middle_x, middle_y, far, far))
