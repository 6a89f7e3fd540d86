"""The canvas: the output image, with lengths that scale with its size and coordinates in source pixels."""

from __future__ import annotations

import math

import numpy as np

from sightd.daemon.render.surface import Rect, Surface
from sightd.daemon.render.text import Sprite, SpriteCache
from sightd.daemon.render.theme import Colour, Layout, shade
from sightd.engines.cuda.image import DeviceImage
from sightd.plugins.api import FloatArray, Image

_MOST_PLACED = 64
"""Later labels avoid only this many rectangles: looking for room among more would cost more than it shows."""

_FAR = 1 << 20
"""Lines with points beyond this many pixels are not drawn: they would not fit a drawn coordinate."""


class OutputCanvas:
    """The output image of one frame while it is drawn; a `sightd.plugins.api.Canvas`. Used by one thread.

    `scale` is output pixels per source pixel.
    """

    __slots__ = ("_placed", "_sprites", "_surface", "scale")

    def __init__(self, surface: Surface, scale: float, sprites: SpriteCache) -> None:
        self.scale = scale
        self._surface = surface
        self._sprites = sprites
        self._placed: list[Rect] = []

    @property
    def image(self) -> Image:
        """The image as BGR uint8, contiguous and writable. If it is on a GPU it is downloaded, and drawn on here from
        then on."""
        self._surface = on_host = self._surface.on_host()
        return on_host.image

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the image."""
        return self._surface.size

    def picture(self) -> Image | DeviceImage:
        """Returns the finished image, on the host or on the GPU; drawing ends with this call."""
        return self._surface.picture()

    @property
    def layout(self) -> Layout:
        """Sizes of what is drawn on this image."""
        return self._sprites.layout

    def box(self, xyxy: FloatArray, colour: Colour, label: str = "") -> None:
        """Draws a box in source pixels, with a label on a contrasting plate. A box outside the image is skipped."""
        self.outline(xyxy, colour)
        if label:
            self.label(xyxy, colour, label)

    def outline(self, xyxy: FloatArray, colour: Colour) -> None:
        """Draws only the box."""
        place = self._on_picture(xyxy)
        if place is not None:
            self._surface.outline(place, colour)

    def label(self, xyxy: FloatArray, colour: Colour, text: str) -> None:
        """Draws only a box's label: above, inside or below it, whichever is free first; above it if none is."""
        box = self._on_picture(xyxy)
        if box is None:
            return
        sprite = self._sprites.label(text, colour)
        left, top, _, bottom = box
        gap = self.layout.halo + 1
        above = place = self._inside(sprite, left, top - sprite.height - gap)
        for y in (top + gap, bottom + gap, bottom - sprite.height - gap):
            if self._is_free(sprite, *place):
                break
            place = self._inside(sprite, left, y)
        self._lay(sprite, *(place if self._is_free(sprite, *place) else above))

    def text(self, xy: tuple[float, float], text: str, colour: Colour) -> None:
        """Draws a line of text on a contrasting plate; `xy` is its top left corner in source pixels, moved into the
        image."""
        if not text or not (math.isfinite(xy[0]) and math.isfinite(xy[1])):
            return
        sprite = self._sprites.label(text, colour)
        self._lay(sprite, *self._inside(sprite, round(xy[0] * self.scale), round(xy[1] * self.scale)))

    def line(self, points: FloatArray, colour: Colour, opacity: float = 1.0, width: float = 1.0) -> None:
        """Draws a line through `points` (float32 [n, 2], source pixels) on a dark rim; one with a point that is not
        finite or far outside is skipped. `width` is in widths of a box's line."""
        if len(points) < 2 or not (np.abs(points * self.scale) < _FAR).all():
            return
        thickness = max(1, round(self.layout.line * width))
        self.trail(points, shade(colour), opacity, thickness + 2 * self.layout.halo)
        self.trail(points, colour, opacity, thickness)

    def trail(self, places: FloatArray, colour: Colour, strength: float, thickness: int) -> None:
        """Draws a line through `places` (float32 [n, 2], source pixels), with opacity `strength` (0-1) and `thickness`
        output pixels wide."""
        self._surface.trail(places * np.float32(self.scale), colour, strength, thickness)

    def joint(self, xy: tuple[float, float], colour: Colour) -> None:
        """Draws a dot of a skeleton at `xy` in source pixels."""
        sprite = self._sprites.joint(colour)
        x, y = round(xy[0] * self.scale - sprite.width / 2), round(xy[1] * self.scale - sprite.height / 2)
        self._surface.lay(sprite, x, y)

    def sprite(self, sprite: Sprite, x: int, y: int) -> None:
        """Draws a sprite with its top left corner at x, y of the output."""
        self._surface.lay(sprite, x, y)

    def keep_free(self, place: Rect) -> None:
        """Keeps labels off this rectangle."""
        self._placed.append(place)

    def _lay(self, sprite: Sprite, x: int, y: int) -> None:
        self._surface.lay(sprite, x, y)
        if len(self._placed) < _MOST_PLACED:
            self._placed.append((x, y, x + sprite.width, y + sprite.height))

    def _is_free(self, sprite: Sprite, x: int, y: int) -> bool:
        right, bottom = x + sprite.width, y + sprite.height
        return not any(x < r and left < right and y < b and top < bottom for left, top, r, b in self._placed)

    def _inside(self, sprite: Sprite, x: int, y: int) -> tuple[int, int]:
        width, height = self._surface.size
        return max(0, min(x, width - sprite.width)), max(0, min(y, height - sprite.height))

    def _on_picture(self, xyxy: FloatArray) -> Rect | None:
        """Returns the box in output pixels, clipped so that its rim is inside the image; None if it is outside."""
        width, height = self._surface.size
        left, top, right, bottom = (value * self.scale for value in xyxy.tolist())
        if not (left < right and top < bottom and left < width and top < height and right > 0 and bottom > 0):
            return None  # also if a coordinate is not a number
        rim = self.layout.halo
        x, y = round(min(max(left, rim), width - rim - 1)), round(min(max(top, rim), height - rim - 1))
        x_end, y_end = round(min(right, width - rim)), round(min(bottom, height - rim))
        return x, y, max(x_end, x + 1), max(y_end, y + 1)
