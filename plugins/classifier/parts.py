"""The parts of a picture that are classified, as the network sees them."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from sightd.plugins.types import Image

Part = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels of the picture; right and bottom are outside."""

_CENTRE = 224 / 256
"""Side of the square in the middle, as a share of the shorter side: how ImageNet networks are tested since Krizhevsky
et al. 2012 (shorter side to 256 pixels, of which the middle 224)."""


def part_of_picture(width: int, height: int, area: Literal["centre", "whole"]) -> Part:
    """The square in the middle, or all of the picture."""
    if area == "whole":
        return 0, 0, width, height
    side = max(1, round(_CENTRE * min(width, height)))
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def part_of_object(box: list[float], width: int, height: int, margin: float) -> Part | None:
    """A square around the box with `margin` of its longer side on each side; at the picture's edge what there is of
    it. None for a box that is not in the picture."""
    x1, y1, x2, y2 = box
    if not (np.isfinite(box).all() and x1 < min(x2, width) and y1 < min(y2, height) and x2 > 0 and y2 > 0):
        return None
    half = (0.5 + margin) * max(x2 - x1, y2 - y1)
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    left, right = _within(x - half, x + half, width)
    top, bottom = _within(y - half, y + half, height)
    return (left, top, right, bottom) if left < right and top < bottom else None


def cut_out(image: Image, part: Part, size: tuple[int, int]) -> Image:
    """The part in the network's `size` (width, height). What is made smaller is averaged, so that fine patterns do not
    become others. The frame's own memory where nothing is to be done: read only."""
    left, top, right, bottom = part
    view = image[top:bottom, left:right]
    if view.shape[1::-1] == size:
        return view
    smaller = view.shape[1] >= size[0] and view.shape[0] >= size[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(view, size, interpolation=how), np.uint8)


def _within(low: float, high: float, end: int) -> tuple[int, int]:
    return max(0, min(end, round(low))), max(0, min(end, round(high)))
