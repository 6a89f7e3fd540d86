"""Mosaics: makes regions of the image so coarse that nobody can be recognised in them."""

from __future__ import annotations

import numpy as np

from sightd.daemon.render.surface import Rect, Surface
from sightd.plugins.api import FloatArray

_TILES = 5
"""Tiles across the shorter side of the largest region: eyes, nose and mouth merge."""
_LEAST = 8
"""Minimum side of a tile in pixels."""


def mosaic(surface: Surface, boxes: FloatArray) -> None:
    """Redacts boxes xyxy float32 [n, 4] in pixels of the surface; call it before drawing anything else.

    A coordinate that is not finite redacts the whole image, because the intended region is unknown.
    """
    width, height = surface.size
    if not np.isfinite(boxes).all():
        boxes = np.array([[0, 0, width, height]], np.float32)
    regions = [region for box in boxes.tolist() if (region := _region(box, width, height))]
    if regions:
        surface.hide(regions, _tile(regions))


def _region(box: list[float], width: int, height: int) -> Rect | None:
    """Returns the box, clipped to the image and grown to even coordinates, because 4:2:0 video has one colour for four
    pixels; None if it is outside."""
    left, top = max(0, int(box[0])) & ~1, max(0, int(box[1])) & ~1
    right, bottom = min(width, -2 * int(-box[2] // 2)), min(height, -2 * int(-box[3] // 2))
    return (left, top, right, bottom) if left < right and top < bottom else None


def _tile(regions: list[Rect]) -> int:
    shorter = max(min(right - left, bottom - top) for left, top, right, bottom in regions)
    return max(_LEAST, 2 * round(shorter / _TILES / 2))
