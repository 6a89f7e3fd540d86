"""A sprite: a small image with transparency that is drawn onto a large one."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.daemon.render.palette import Colour
from sightd.plugins.types import Image

Coverage = NDArray[np.float32]
"""Alpha of each pixel: float32 [height, width], 0-1."""


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
