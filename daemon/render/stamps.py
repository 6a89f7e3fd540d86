"""The sprites for one image size: drawn once and cached in bounded memory, so that text costs a copy."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import numpy as np

from sightd.daemon.render import lettering
from sightd.daemon.render.measures import Measures
from sightd.daemon.render.palette import WHITE, Colour, ink_on, shade
from sightd.daemon.render.stamp import Coverage, Stamp, layered, rounded
from sightd.plugins.types import Image

LIMIT = 4 * 2**20
"""Maximum bytes of cached sprites; the least recently used are evicted first."""
GLASS = 0.62
"""Opacity of the status line's plate: white text keeps a contrast of 4.5 on any image below it."""


class Stamps:
    """Labels and box corners for images of one size. Used by one thread."""

    def __init__(self, measures: Measures, limit: int = LIMIT) -> None:
        self.measures = measures
        self._limit = limit
        self._kept: OrderedDict[tuple[str, str, Colour], Stamp] = OrderedDict()
        self._bytes = 0
        span = 2 * (measures.arm + measures.halo)
        self.aside: Image = np.empty((span, span, 3), np.uint8)
        """Buffer for the four corners of a box while it is drawn."""

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def nbytes(self) -> int:
        """Bytes that the cached sprites take."""
        return self._bytes

    def label(self, text: str, colour: Colour) -> Stamp:
        """Returns text on a plate of `colour`."""
        return self._stamp("label", text, colour, lambda: self._draw_label(text, colour))

    def corners(self, colour: Colour) -> Stamp:
        """Returns the smallest possible box, rim included: its quarters are the corners of every larger box."""
        return self._stamp("corners", "", colour, lambda: self._draw_corners(colour))

    def _stamp(self, kind: str, text: str, colour: Colour, draw: Callable[[], Stamp]) -> Stamp:
        key = (kind, text, colour)
        stamp = self._kept.get(key)
        if stamp is not None:
            self._kept.move_to_end(key)
            return stamp
        stamp = draw()
        self._kept[key] = stamp
        self._bytes += stamp.nbytes
        while self._bytes > self._limit and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return stamp

    def _draw_label(self, text: str, colour: Colour) -> Stamp:
        size, room = self.measures.font, self.measures.width - self.measures.font
        return plate([(lettering.fitted(text, size, room), lettering.REGULAR, 1.0)], size, colour, 1.0)

    def _draw_corners(self, colour: Colour) -> Stamp:
        m, span = self.measures, self.aside.shape[0]
        box = rounded(span, span, m.radius, m.halo)
        rim = rounded(span, span, m.radius + m.halo) - box
        line = box - rounded(span, span, max(0, m.radius - m.accent), m.halo + m.accent)
        return layered((rim, shade(colour)), (line, colour))


def plate(parts: list[tuple[str, int, float]], size: int, colour: Colour, cover: float) -> Stamp:
    """Draws texts side by side on a rounded plate. A part is text, font weight and opacity of its letters (0-1)."""
    pad, gap, height = round(0.45 * size), round(0.7 * size), round(1.5 * size)
    widths = [lettering.width_of(text, size, weight) for text, weight, _ in parts]
    width = 2 * pad + sum(widths) + gap * (len(parts) - 1)
    baseline = (height + lettering.cap_height(size)) // 2
    letters: Coverage = np.zeros((height, width), np.float32)
    x = pad
    for (text, weight, strength), part_width in zip(parts, widths, strict=True):
        cover_of_part: Coverage = np.zeros((height, width), np.float32)
        lettering.write(cover_of_part, text, x, baseline, size, weight)
        letters = np.maximum(letters, strength * cover_of_part)
        x += part_width + gap
    ink = WHITE if cover < 1 else ink_on(colour)
    return layered((rounded(width, height, size / 4) * cover, colour), (letters, ink))
