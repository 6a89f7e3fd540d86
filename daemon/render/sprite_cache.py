"""The sprites for one image size: drawn once and cached in bounded memory, so that text costs a copy."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import numpy as np

from sightd.daemon.render import text_rendering
from sightd.daemon.render.layout import Layout
from sightd.daemon.render.palette import WHITE, Colour, ink_on, shade
from sightd.daemon.render.sprite import Coverage, Sprite, layered, rounded
from sightd.plugins.types import Image

LIMIT = 4 * 2**20
"""Maximum bytes of cached sprites; the least recently used are evicted first."""
GLASS = 0.62
"""Opacity of the status line's plate: white text keeps a contrast of 4.5 on any image below it."""


class SpriteCache:
    """Labels and box corners for images of one size. Used by one thread."""

    def __init__(self, layout: Layout, limit: int = LIMIT) -> None:
        self.layout = layout
        self._limit = limit
        self._kept: OrderedDict[tuple[str, str, Colour], Sprite] = OrderedDict()
        self._bytes = 0
        span = 2 * (layout.arm + layout.halo)
        self.aside: Image = np.empty((span, span, 3), np.uint8)
        """Buffer for the four corners of a box while it is drawn."""

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def nbytes(self) -> int:
        """Bytes that the cached sprites take."""
        return self._bytes

    def label(self, text: str, colour: Colour) -> Sprite:
        """Returns text on a plate of `colour`."""
        return self._sprite("label", text, colour, lambda: self._draw_label(text, colour))

    def corners(self, colour: Colour) -> Sprite:
        """Returns the smallest possible box, rim included: its quarters are the corners of every larger box."""
        return self._sprite("corners", "", colour, lambda: self._draw_corners(colour))

    def _sprite(self, kind: str, text: str, colour: Colour, draw: Callable[[], Sprite]) -> Sprite:
        key = (kind, text, colour)
        sprite = self._kept.get(key)
        if sprite is not None:
            self._kept.move_to_end(key)
            return sprite
        sprite = draw()
        self._kept[key] = sprite
        self._bytes += sprite.nbytes
        while self._bytes > self._limit and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return sprite

    def _draw_label(self, text: str, colour: Colour) -> Sprite:
        size, room = self.layout.font, self.layout.width - self.layout.font
        return plate([(text_rendering.fitted(text, size, room), text_rendering.REGULAR, 1.0)], size, colour, 1.0)

    def _draw_corners(self, colour: Colour) -> Sprite:
        m, span = self.layout, self.aside.shape[0]
        box = rounded(span, span, m.radius, m.halo)
        rim = rounded(span, span, m.radius + m.halo) - box
        line = box - rounded(span, span, max(0, m.radius - m.accent), m.halo + m.accent)
        return layered((rim, shade(colour)), (line, colour))


def plate(parts: list[tuple[str, int, float]], size: int, colour: Colour, cover: float) -> Sprite:
    """Draws texts side by side on a rounded plate. A part is text, font weight and opacity of its letters (0-1)."""
    pad, gap, height = round(0.45 * size), round(0.7 * size), round(1.5 * size)
    widths = [text_rendering.width_of(text, size, weight) for text, weight, _ in parts]
    width = 2 * pad + sum(widths) + gap * (len(parts) - 1)
    baseline = (height + text_rendering.cap_height(size)) // 2
    letters: Coverage = np.zeros((height, width), np.float32)
    x = pad
    for (text, weight, strength), part_width in zip(parts, widths, strict=True):
        cover_of_part: Coverage = np.zeros((height, width), np.float32)
        text_rendering.write(cover_of_part, text, x, baseline, size, weight)
        letters = np.maximum(letters, strength * cover_of_part)
        x += part_width + gap
    ink = WHITE if cover < 1 else ink_on(colour)
    return layered((rounded(width, height, size / 4) * cover, colour), (letters, ink))
