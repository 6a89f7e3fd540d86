"""Drawing from another process: labels and boxes are sent as strokes; the image is shared only if it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sightd.daemon.isolation.messages import Stroke
from sightd.plugins.types import Canvas, FloatArray, Image


class RemoteCanvas:
    """The `sightd.plugins.types.Canvas` of an isolated plug-in. `lend` draws strokes and returns the output image."""

    def __init__(self, size: tuple[int, int], lend: Callable[[Sequence[Stroke]], Image]) -> None:
        self._size = size
        self._lend = lend
        self._image: Image | None = None
        self.strokes: list[Stroke] = []
        """Not drawn yet."""

    @property
    def size(self) -> tuple[int, int]:
        return self._size

    @property
    def image(self) -> Image:
        if self._image is None or self.strokes:
            strokes, self.strokes = self.strokes, []
            self._image = self._lend(strokes)
        return self._image

    def box(self, xyxy: FloatArray, colour: tuple[int, int, int], label: str = "") -> None:
        self.strokes.append(("box", (xyxy, colour, label)))

    def text(self, xy: tuple[float, float], text: str, colour: tuple[int, int, int]) -> None:
        self.strokes.append(("text", (xy, text, colour)))


def drawn(canvas: Canvas, strokes: Sequence[Stroke]) -> None:
    """Draws onto `canvas` the strokes that the plug-in's process recorded."""
    for method, arguments in strokes:
        if method == "box":
            canvas.box(*arguments)
        else:
            canvas.text(*arguments)
