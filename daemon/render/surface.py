"""What a canvas draws its shapes onto: an image on the host, or one that stays on a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.daemon.render.text import Sprite, SpriteCache
from sightd.daemon.render.theme import Colour, shade
from sightd.engines.cuda.image import DeviceImage
from sightd.engines.cuda.launch.drawing import Mark, Mask, Outline, Trail
from sightd.engines.cuda.pipelines.drawing import FrameDrawing
from sightd.plugins.api import FloatArray, Image

Rect = tuple[int, int, int, int]
"""Left, top, right, bottom in output pixels; right and bottom are exclusive."""

_SHIFT = 3
"""Fractional bits of drawn coordinates, so that a slow track's line moves smoothly."""


class Surface(Protocol):
    """All coordinates are in pixels of the surface. One thread."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        ...

    def hide(self, regions: Sequence[Rect], cell: int) -> None:
        """Makes mosaics of regions, which must be inside the surface: each cell of the image's grid, `cell` pixels each
        way (even), becomes its mean colour, within the region. Call it before drawing anything else."""
        ...

    def outline(self, box: Rect, colour: Colour) -> None:
        """Draws a rectangle with a dark rim outside, which must be inside the surface; if it is large enough, with
        rounded and accented corners."""
        ...

    def lay(self, sprite: Sprite, x: int, y: int) -> None:
        """Draws the sprite with its top left corner at x, y; what lies outside is cut off."""
        ...

    def trail(self, points: FloatArray, colour: Colour, strength: float, thickness: int) -> None:
        """Draws a line of opacity `strength` through two or more points, float32 [n, 2]; its width is
        `drawn_width(thickness)`."""
        ...

    def on_host(self) -> HostSurface:
        """Returns a surface on the host with everything drawn so far; do not use this one any more."""
        ...

    def picture(self) -> Image | DeviceImage:
        """Returns the result; BGR on the host, NV12 on a GPU."""
        ...


def drawn_width(thickness: int) -> float:
    """Returns the width in pixels of OpenCV's antialiased lines of a thickness (measured, OpenCV 4): they grow in steps
    of two and are wider than asked for."""
    return 1.37 if thickness <= 1 else 2 * ((thickness + 1) // 2) + 1.37


class HostSurface:
    """Draws into a BGR uint8 image, contiguous and writable."""

    __slots__ = ("_sprites", "image")

    def __init__(self, image: Image, sprites: SpriteCache) -> None:
        self.image = image
        self._sprites = sprites

    @property
    def size(self) -> tuple[int, int]:
        height, width = self.image.shape[:2]
        return width, height

    def hide(self, regions: Sequence[Rect], cell: int) -> None:
        mosaic = [(region, _mosaic(self.image, region, cell)) for region in regions]  # before any region is overwritten
        for (left, top, right, bottom), tiles in mosaic:
            x, y = left - left % cell, top - top % cell
            self.image[top:bottom, left:right] = tiles[top - y : bottom - y, left - x : right - x]

    def outline(self, box: Rect, colour: Colour) -> None:
        """Draws plain rectangles, which are fastest. They overwrite the corners, so these are saved before, blended
        with the sprite, and copied back, all four at once through a strided view."""
        m = self._sprites.layout
        sprite = self._sprites.corners(colour)
        corners = self._corners_of(box, sprite.width // 2)
        if corners is not None:
            aside = self._sprites.aside
            np.copyto(aside.reshape(corners.shape), corners)
        left, top, right, bottom = box[0], box[1], box[2] - 1, box[3] - 1
        dark = shade(colour)
        for inset in range(-m.halo, m.line):
            paint = dark if inset < 0 else colour
            cv2.rectangle(self.image, (left + inset, top + inset), (right - inset, bottom - inset), paint)
        if corners is not None:
            sprite.on(aside, 0, 0)
            np.copyto(corners, aside.reshape(corners.shape))

    def lay(self, sprite: Sprite, x: int, y: int) -> None:
        sprite.on(self.image, x, y)

    def trail(self, points: FloatArray, colour: Colour, strength: float, thickness: int) -> None:
        line = (points * (1 << _SHIFT)).astype(np.int32)
        faded = _mixed(self.image, line[len(line) // 2] >> _SHIFT, colour, strength)
        cv2.polylines(self.image, [line], False, faded, thickness, cv2.LINE_AA, _SHIFT)

    def on_host(self) -> HostSurface:
        return self

    def picture(self) -> Image:
        return self.image

    def _corners_of(self, box: Rect, side: int) -> Image | None:
        """Returns a view of the four corners of a box with its rim, [2, side, 2, side, 3]; None if they would
        overlap."""
        rim = self._sprites.layout.halo
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


def _mosaic(image: Image, region: Rect, cell: int) -> Image:
    """Returns the grid cells that a region touches, each in its mean colour, from the first cell's corner on."""
    left, top, right, bottom = region
    x, y = left - left % cell, top - top % cell
    part = image[y : -(-bottom // cell) * cell, x : -(-right // cell) * cell]  # cells are clipped at the image's edge
    columns, rows = np.arange(0, part.shape[1], cell), np.arange(0, part.shape[0], cell)
    sums = np.add.reduceat(np.add.reduceat(part, columns, axis=1, dtype=np.uint32), rows, axis=0)
    sides = np.diff(rows, append=part.shape[0])[:, None, None], np.diff(columns, append=part.shape[1])[:, None]
    means: Image = np.rint(sums / (sides[0] * sides[1])).astype(np.uint8)
    return means.repeat(cell, axis=0).repeat(cell, axis=1)


def _mixed(image: Image, at: NDArray[np.int32], colour: Colour, strength: float) -> Colour:
    """Returns the colour blended with one pixel of the image: looks transparent without blending every pixel."""
    height, width = image.shape[:2]
    x, y = at.tolist()
    if not (0 <= x < width and 0 <= y < height):
        return colour
    blue, green, red = (
        round(c * strength + p * (1 - strength)) for c, p in zip(colour, image[y, x].tolist(), strict=True)
    )
    return blue, green, red


class GpuSurface:
    """A `Surface` that looks like `HostSurface`. Shapes are collected and drawn together when the image is asked for;
    the frame's own image is not modified."""

    __slots__ = ("_cell", "_drawing", "_hidden", "_image", "_marks", "_sprites", "size")

    def __init__(self, image: DeviceImage, size: tuple[int, int], drawing: FrameDrawing, sprites: SpriteCache) -> None:
        self.size = size
        self._image, self._drawing, self._sprites = image, drawing, sprites
        self._hidden: Sequence[Rect] = ()
        self._cell = 2  # unused while there are no regions
        self._marks: list[Mark] = []

    def hide(self, regions: Sequence[Rect], cell: int) -> None:
        self._hidden, self._cell = regions, cell

    def outline(self, box: Rect, colour: Colour) -> None:
        m = self._sprites.layout
        left, top, right, bottom = box
        rim = (left - m.halo, top - m.halo, right + m.halo, bottom + m.halo)
        if min(right - left, bottom - top) < 2 * m.arm:
            self._marks += Outline(rim, shade(colour), m.halo), Outline(box, colour, m.line)
            return
        self._marks.append(Outline(rim, shade(colour), m.halo, m.radius + m.halo))
        self._marks.append(Outline(box, colour, m.line, m.radius, m.accent, m.arm))

    def lay(self, sprite: Sprite, x: int, y: int) -> None:
        self._marks += [Mask(x, y, shape, colour) for shape, colour in sprite.layers]

    def trail(self, points: FloatArray, colour: Colour, strength: float, thickness: int) -> None:
        self._marks.append(Trail(points, colour, drawn_width(thickness), strength))

    def on_host(self) -> HostSurface:
        return HostSurface(self.picture().bgr(), self._sprites)

    def picture(self) -> DeviceImage:
        return self._drawing.draw(self._image, *self.size, self._marks, self._hidden, self._cell)
