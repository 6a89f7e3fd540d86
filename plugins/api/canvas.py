"""The drawing surface for plug-ins."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from sightd.plugins.api.frame import FloatArray, Image


@runtime_checkable
class Canvas(Protocol):
    """Drawing surface for plug-ins: the output image at its own size, with helpers that scale from source pixels."""

    @property
    def image(self) -> Image:
        """Writable BGR uint8 [height, width, 3], in output pixels. An image on a GPU is downloaded first, so use this
        only to draw into it; use `size` otherwise."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the output image in pixels."""
        ...

    def box(self, xyxy: FloatArray, colour: tuple[int, int, int], label: str = "") -> None:
        """Draws a box given in source pixels, with an optional label on a contrasting background."""
        ...

    def text(self, xy: tuple[float, float], text: str, colour: tuple[int, int, int]) -> None:
        """Draws a line of text on a contrasting background; `xy` is its top left corner in source pixels."""
        ...
