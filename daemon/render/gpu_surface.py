"""A surface on a GPU: the image is drawn on where it is, without being downloaded."""

from __future__ import annotations

from collections.abc import Sequence

from sightd.daemon.render.palette import Colour, shade
from sightd.daemon.render.sprite import Sprite
from sightd.daemon.render.sprite_cache import SpriteCache
from sightd.daemon.render.surface import HostSurface, Rect
from sightd.engines.cuda.device_image import DeviceImage
from sightd.engines.cuda.frame_drawing import FrameDrawing
from sightd.engines.cuda.launch.marks import Mark, Mask, Outline, Trail
from sightd.plugins.types import FloatArray


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
        self._marks.append(Trail(points, colour, thickness, strength))

    def on_host(self) -> HostSurface:
        return HostSurface(self.picture().bgr(), self._sprites)

    def picture(self) -> DeviceImage:
        return self._drawing.draw(self._image, *self.size, self._marks, self._hidden, self._cell)
