"""Box geometry: arrays [n, 4] as x1, y1, x2, y2, usually float32.

Every function returns a new array of the boxes' dtype and is thread-safe.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.floating[Any]]
Real = TypeVar("Real", bound=np.floating[Any])


def area(boxes: NDArray[Real]) -> NDArray[Real]:
    """Returns the areas [n]: (x2 − x1) · (y2 − y1), or 0 if a box is inverted."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    return sides[:, 0] * sides[:, 1]


def intersection(a: NDArray[Real], b: NDArray[Real]) -> NDArray[Real]:
    """Returns the intersection areas [n, m] of each box of `a` [n, 4] with each box of `b` [m, 4]."""
    width: NDArray[Real] = np.minimum(a[:, None, 2], b[:, 2])
    width -= np.maximum(a[:, None, 0], b[:, 0])
    height = np.minimum(a[:, None, 3], b[:, 3])
    height -= np.maximum(a[:, None, 1], b[:, 1])
    np.maximum(width, 0, out=width)
    np.maximum(height, 0, out=height)
    width *= height
    return width


def iou(a: NDArray[Real], b: NDArray[Real]) -> NDArray[Real]:
    """Returns the intersection over union [n, m] of `a` [n, 4] and `b` [m, 4]: I / (A + B − I), from 0 to 1.

    Two boxes without area have an IoU of 0, never NaN. Source: Jaccard index.
    """
    shared = intersection(a, b)
    union = area(a)[:, None] + area(b)
    union -= shared
    np.maximum(union, np.finfo(union.dtype).tiny, out=union)
    shared /= union
    return shared


def clip(boxes: Boxes, width: float, height: float) -> Boxes:
    """Clips boxes to an image of `width` x `height` pixels."""
    cut = np.maximum(boxes, 0)
    np.minimum(cut[:, 0::2], width, out=cut[:, 0::2])
    np.minimum(cut[:, 1::2], height, out=cut[:, 1::2])
    return cut


def to_centre_size(boxes: NDArray[Real]) -> NDArray[Real]:
    """Converts x1, y1, x2, y2 to centre x, centre y, width, height: c = (p1 + p2) / 2, s = p2 − p1."""
    both = np.empty_like(boxes)
    both[:, :2] = (boxes[:, :2] + boxes[:, 2:]) / 2
    both[:, 2:] = boxes[:, 2:] - boxes[:, :2]
    return both


def from_centre_size(boxes: NDArray[Real]) -> NDArray[Real]:
    """Converts centre x, centre y, width, height to x1, y1, x2, y2: p = c ∓ s / 2."""
    corners = np.empty_like(boxes)
    half = boxes[:, 2:] / 2
    corners[:, :2] = boxes[:, :2] - half
    corners[:, 2:] = boxes[:, :2] + half
    return corners
