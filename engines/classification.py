"""How a classifier is fed and read: the region cropped for it, and probabilities from its output.

The classifier plug-in and the training of custom classifiers share it, because a model must see what it was trained on.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Real = TypeVar("Real", bound=np.floating[Any])

Part = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels of the frame; right and bottom are exclusive."""

_CENTRE = 224 / 256
"""Side of the centre square, as a share of the shorter side: the usual ImageNet evaluation since Krizhevsky et al. 2012
(shorter side resized to 256 pixels, then a centre crop of 224)."""


def part_of_picture(width: int, height: int, area: Literal["centre", "whole"]) -> Part:
    """Returns the centre square or the whole frame."""
    if area == "whole":
        return 0, 0, width, height
    side = max(1, round(_CENTRE * min(width, height)))
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def part_of_object(box: list[float], width: int, height: int, margin: float) -> Part | None:
    """Returns a square around the box, extended by `margin` of its longer side on each side and clipped to the frame.
    None for a box outside the frame."""
    x1, y1, x2, y2 = box
    if not (np.isfinite(box).all() and x1 < min(x2, width) and y1 < min(y2, height) and x2 > 0 and y2 > 0):
        return None
    half = (0.5 + margin) * max(x2 - x1, y2 - y1)
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    left, right = _within(x - half, x + half, width)
    top, bottom = _within(y - half, y + half, height)
    return (left, top, right, bottom) if left < right and top < bottom else None


def cut_out(image: NDArray[np.uint8], part: Part, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Returns the region resized to the model's `size` (width, height). Shrinking averages pixels, to avoid aliasing.
    If no resizing is needed, returns a view of the frame's memory, which is read-only."""
    left, top, right, bottom = part
    view = image[top:bottom, left:right]
    if view.shape[1::-1] == size:
        return view
    smaller = view.shape[1] >= size[0] and view.shape[0] >= size[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(view, size, interpolation=how), np.uint8)


def _within(low: float, high: float, end: int) -> tuple[int, int]:
    return max(0, min(end, round(low))), max(0, min(end, round(high)))


def softmax(logits: NDArray[Real]) -> NDArray[Real]:
    """Returns probabilities over the last axis, e^z / Σ e^z, in the dtype of the logits, but at least float32."""
    above = np.exp(logits - logits.max(axis=-1, keepdims=True), dtype=np.result_type(logits, np.float32))
    shares: NDArray[Real] = above / above.sum(axis=-1, keepdims=True)
    return shares
