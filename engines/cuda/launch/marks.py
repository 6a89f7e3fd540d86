"""Marks drawn onto frames on the device: outlines, masks and trails, in frame pixels."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]
"""Blue, green, red."""
Point = tuple[int, int, int, int]
"""Left, top, right, bottom; right and bottom are exclusive."""


@dataclass(frozen=True, slots=True)
class Outline:
    """The border of a rectangle, `thickness` pixels inwards from `place`; `radius` is that of the outer corners.

    Within `arm` pixels of a corner, it is `accent` pixels thick instead. `cover` is its opacity, 0-1.
    """

    place: Point
    colour: Colour
    thickness: float
    radius: float = 0.0
    accent: float = 0.0
    arm: float = 0.0
    cover: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """Any shape, such as text or its background: the coverage of each pixel, uint8 [height, width], with its upper left
    corner at `left`, `top`."""

    left: int
    top: int
    shape: NDArray[np.uint8]
    colour: Colour
    cover: float = 1.0

    @property
    def place(self) -> Point:
        height, width = self.shape.shape
        return self.left, self.top, self.left + width, self.top + height


@dataclass(frozen=True, slots=True, eq=False)
class Trail:
    """A line with round caps through `points`, float32 [n, 2] as x, y; integers are the centres of pixels."""

    points: NDArray[np.float32]
    colour: Colour
    thickness: float
    cover: float = 1.0

    @property
    def place(self) -> Point:
        reach = self.thickness / 2 + 1
        across, down = self.points.T.tolist()  # only a handful of points: faster than NumPy
        left, top = floor(min(across) - reach), floor(min(down) - reach)
        return left, top, ceil(max(across) + reach) + 1, ceil(max(down) + reach) + 1


Mark = Outline | Mask | Trail
