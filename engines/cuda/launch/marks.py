"""What is drawn onto frames on the device: plates, outlines and letters, in pixels of the frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.cuda.launch.seam import Device

Colour = tuple[int, int, int]
"""Blue, green, red."""
Place = tuple[int, int, int, int]
"""Left, top, right, bottom; right and bottom are outside."""


@dataclass(frozen=True, slots=True)
class Plate:
    """A filled rectangle with rounded corners; `cover` 0-1."""

    place: Place
    colour: Colour
    radius: float = 0.0
    cover: float = 1.0


@dataclass(frozen=True, slots=True)
class Outline:
    """A rectangle's line, `thickness` pixels inwards from `place`; `radius` is that of the outer corners."""

    place: Place
    colour: Colour
    thickness: float
    radius: float = 0.0
    cover: float = 1.0


@dataclass(frozen=True, slots=True)
class Letter:
    """A glyph of the atlas."""

    place: Place
    colour: Colour
    offset: int
    cover: float = 1.0


Mark = Plate | Outline | Letter


@dataclass(frozen=True, slots=True, eq=False)
class Glyph:
    """A letter's cover uint8 [height, width], and where it lies: `left` of the pen, `top` above the baseline."""

    cover: NDArray[np.uint8]
    left: int
    top: int
    advance: int


class GlyphAtlas:
    """Glyphs in device memory, one after the other; sent once. `close` twice is safe."""

    def __init__(self, device: Device, glyphs: Mapping[str, Glyph], stream: Any) -> None:
        """Waits for the stream. A letter that has no glyph is drawn as "?", which must have one."""
        if "?" not in glyphs:
            raise ValueError('an atlas needs a glyph for "?", which stands for letters that it does not have')
        self._glyphs = dict(glyphs)
        self._offsets: dict[str, int] = {}
        total = 0
        for letter, glyph in glyphs.items():
            self._offsets[letter] = total
            total += glyph.cover.size
        self._host = np.concatenate([glyph.cover.ravel() for glyph in glyphs.values()] + [np.zeros(1, np.uint8)])
        self.buffer = device.allocate(self._host.nbytes)
        self.buffer.upload(self._host, stream)
        stream.synchronize()

    def line(self, text: str, x: int, baseline: int, colour: Colour, cover: float = 1.0) -> list[Letter]:
        """The letters of a line of text whose pen starts at x on the baseline; blanks are not there."""
        letters = []
        for letter in text:
            known = letter if letter in self._glyphs else "?"
            glyph = self._glyphs[known]
            height, width = glyph.cover.shape
            if width and height:
                left, top = x + glyph.left, baseline - glyph.top
                letters.append(Letter((left, top, left + width, top + height), colour, self._offsets[known], cover))
            x += glyph.advance
        return letters

    def width(self, text: str) -> int:
        """How far the pen moves, in pixels."""
        return sum(self._glyphs[letter if letter in self._glyphs else "?"].advance for letter in text)

    def close(self) -> None:
        self.buffer.free()
