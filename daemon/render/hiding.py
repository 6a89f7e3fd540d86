"""Regions of the picture made mosaics so coarse that nobody can be recognised in them."""

from __future__ import annotations

import numpy as np

from sightd.daemon.render.surface import Rect, Surface
from sightd.plugins.types import FloatArray

_TILES = 5
"""So many tiles the largest region has across its shorter side: eyes, nose and mouth fall together."""
_LEAST = 8
"""Pixels of a tile's side at the least."""


def hide(surface: Surface, boxes: FloatArray) -> None:
    """Hides boxes xyxy float32 [n, 4] in pixels of the surface, before anything else is drawn there.

    A coordinate that is not a number hides everything: it cannot be told what was meant.
    """
    width, height = surface.size
    if not np.isfinite(boxes).all():
        boxes = np.array([[0, 0, width, height]], np.float32)
    regions = [region for box in boxes.tolist() if (region := _region(box, width, height))]
    if regions:
        surface.hide(regions, _tile(regions))


def _region(box: list[float], width: int, height: int) -> Rect | None:
    """The box cut at the picture's edges and grown to even coordinates, as 4:2:0 video has one colour for four pixels;
    None where nothing of it is there."""
    left, top = max(0, int(box[0])) & ~1, max(0, int(box[1])) & ~1
    right, bottom = min(width, -2 * int(-box[2] // 2)), min(height, -2 * int(-box[3] // 2))
    return (left, top, right, bottom) if left < right and top < bottom else None


def _tile(regions: list[Rect]) -> int:
    shorter = max(min(right - left, bottom - top) for left, top, right, bottom in regions)
    return max(_LEAST, 2 * round(shorter / _TILES / 2))
