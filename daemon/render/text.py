"""Text, and the sprites that carry it: letters, plates and box corners, drawn once and kept in bounded memory.

OpenCV's built-in sans font has Latin, Greek, Cyrillic, Arabic, Hebrew, Chinese, Japanese and Korean letters, and digits
of equal width. A `cv2.FontFace` is bound to the thread that created it (two threads that share one get each other's
letters), so each thread has its own.
"""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.daemon.render.theme import WHITE, Colour, Layout, ink_on, shade
from sightd.plugins.api import Image

Coverage = NDArray[np.float32]
"""Alpha of each pixel: float32 [height, width], 0-1."""


REGULAR = 450
BOLD = 600
_ORIGIN = (0, 0)
_faces = threading.local()
LIMIT = 4 * 2**20
"""Maximum bytes of cached sprites; the least recently used are evicted first."""
GLASS = 0.62
"""Opacity of the status line's plate: white text keeps a contrast of 4.5 on any image below it."""


@dataclass(frozen=True, slots=True, eq=False)
class Sprite:
    """A sprite: BGR premultiplied with its alpha (`paint`), and the transmittance of the image below (`keep`,
    0-255)."""

    paint: Image
    keep: Image
    layers: tuple[tuple[NDArray[np.uint8], Colour], ...]
    """What it was composed of, bottom layer first: alpha 0-255 [height, width], and its colour."""

    @property
    def width(self) -> int:
        return int(self.paint.shape[1])

    @property
    def height(self) -> int:
        return int(self.paint.shape[0])

    @property
    def nbytes(self) -> int:
        """Bytes it takes in memory."""
        return self.paint.nbytes + self.keep.nbytes + sum(shape.nbytes for shape, _ in self.layers)

    def on(self, image: Image, x: int, y: int) -> None:
        """Draws the sprite onto `image` with its top left corner at x, y; what lies outside is cut off."""
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + self.width, image.shape[1]), min(y + self.height, image.shape[0])
        if left >= right or top >= bottom:
            return
        below, keep, paint = image[top:bottom, left:right], self.keep, self.paint
        if below.shape != paint.shape:
            part = (slice(top - y, bottom - y), slice(left - x, right - x))
            keep, paint = keep[part], paint[part]
        cv2.multiply(below, keep, dst=below, scale=1 / 255)
        cv2.add(below, paint, dst=below)


def layered(*layers: tuple[Coverage, Colour]) -> Sprite:
    """Composes a sprite of flat colours, each drawn over the ones before it by its alpha; all of one size."""
    keep: Coverage = np.ones(layers[0][0].shape, np.float32)
    shares = []  # of each layer's colour in the paint: its alpha, as far as the layers above let it through
    for coverage, _ in reversed(layers):
        shares.append(coverage * keep)
        keep = keep * (1 - coverage)
    colours = np.array([colour for _, colour in reversed(layers)], np.float32)
    paint = np.rint(np.stack(shares, axis=-1).reshape(-1, len(layers)) @ colours).astype(np.uint8)
    kept = np.rint(keep * 255).astype(np.uint8)
    shapes = tuple((np.rint(coverage * 255).astype(np.uint8), colour) for coverage, colour in layers)
    return Sprite(paint.reshape(*keep.shape, 3), np.repeat(kept[:, :, None], 3, axis=2), shapes)


@functools.lru_cache(maxsize=64)
def rounded(width: int, height: int, radius: float, inset: float = 0.0) -> Coverage:
    """Returns the alpha of a rectangle with rounded corners, anti-aliased; `inset` pixels stay free on every side.

    The array is read-only and cached: plates of one size recur all the time, whatever is written on them.
    """
    x = np.abs(np.arange(width, dtype=np.float32) + 0.5 - width / 2) - (width / 2 - inset - radius)
    y = np.abs(np.arange(height, dtype=np.float32) + 0.5 - height / 2) - (height / 2 - inset - radius)
    x, y = np.broadcast_arrays(x[None, :], y[:, None])
    outside = np.hypot(np.maximum(x, 0), np.maximum(y, 0)) + np.minimum(np.maximum(x, y), 0) - radius
    cover: Coverage = np.clip(0.5 - outside, 0, 1).astype(np.float32)
    cover.flags.writeable = False
    return cover


def width_of(text: str, size: int, weight: int = REGULAR) -> int:
    """Returns the width of a line of text in pixels."""
    left, _, width, _ = cv2.getTextSize(_ORIGIN, text, _ORIGIN, _face(), size, weight)
    return max(0, left + width)


def cap_height(size: int) -> int:
    """Returns the height in pixels of a capital letter above the baseline."""
    return round(0.70 * size)


def fitted(text: str, size: int, room: int, weight: int = REGULAR) -> str:
    """Returns the text on one line, shortened with "…" if it is wider than `room` pixels."""
    line = " ".join(text.split())
    if width_of(line, size, weight) <= room:
        return line
    fits, too_long = 0, len(line)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if width_of(line[:middle].rstrip() + "…", size, weight) <= room:
            fits = middle
        else:
            too_long = middle
    return line[:fits].rstrip() + "…" if fits else ""


def write_text(onto: Coverage, text: str, x: int, baseline: int, size: int, weight: int = REGULAR) -> None:
    """Adds the text's alpha to `onto`, its first letter at x on the baseline; what does not fit is cut off."""
    mask = np.zeros(onto.shape, np.uint8)
    cv2.putText(mask, text, (x, baseline), (255,), _face(), size, weight)
    np.maximum(onto, mask.astype(np.float32) / 255, out=onto)


def _face() -> cv2.FontFace:
    face: cv2.FontFace | None = getattr(_faces, "face", None)
    if face is None:
        face = _faces.face = cv2.FontFace("sans")
    return face


class SpriteCache:
    """Labels, box corners and joints for images of one size. Used by one thread."""

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

    def joint(self, colour: Colour) -> Sprite:
        """Returns the dot of a joint: white, with a ring of `colour`."""
        return self._sprite("joint", "", colour, lambda: self._draw_joint(colour))

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
        return plate([(fitted(text, size, room), REGULAR, 1.0)], size, colour, 1.0)

    def _draw_joint(self, colour: Colour) -> Sprite:
        side = 2 * (self.layout.accent + self.layout.line) + 1
        ring = rounded(side, side, side / 2)
        inset = float(self.layout.line)
        return layered((ring, shade(colour)), (rounded(side, side, side / 2 - inset, inset), WHITE))

    def _draw_corners(self, colour: Colour) -> Sprite:
        m, span = self.layout, self.aside.shape[0]
        box = rounded(span, span, m.radius, m.halo)
        rim = rounded(span, span, m.radius + m.halo) - box
        line = box - rounded(span, span, max(0, m.radius - m.accent), m.halo + m.accent)
        return layered((rim, shade(colour)), (line, colour))


def plate(parts: list[tuple[str, int, float]], size: int, colour: Colour, cover: float) -> Sprite:
    """Draws texts side by side on a rounded plate. A part is text, font weight and opacity of its letters (0-1)."""
    pad, gap, height = round(0.45 * size), round(0.7 * size), round(1.5 * size)
    widths = [width_of(text, size, weight) for text, weight, _ in parts]
    width = 2 * pad + sum(widths) + gap * (len(parts) - 1)
    baseline = (height + cap_height(size)) // 2
    letters: Coverage = np.zeros((height, width), np.float32)
    x = pad
    for (text, weight, strength), part_width in zip(parts, widths, strict=True):
        cover_of_part: Coverage = np.zeros((height, width), np.float32)
        write_text(cover_of_part, text, x, baseline, size, weight)
        letters = np.maximum(letters, strength * cover_of_part)
        x += part_width + gap
    ink = WHITE if cover < 1 else ink_on(colour)
    return layered((rounded(width, height, size / 4) * cover, colour), (letters, ink))
