"""Geometry of boxes and of face landmarks.

Boxes are arrays [n, 4] as x1, y1, x2, y2, usually float32. Every function returns a new array of the boxes' dtype
and is thread-safe.
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


def clip(boxes: NDArray[Real], width: float, height: float) -> NDArray[Real]:
    """Clips boxes to an image of `width` x `height` pixels."""
    cut: NDArray[Real] = np.maximum(boxes, 0)
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


def turned(boxes: NDArray[Real]) -> NDArray[Real]:
    """Returns the corners [n, 4, 2] of boxes [n, 5] given as centre x, centre y, width, height and angle in radians, by
    which the box is turned clockwise on the screen around its centre. They follow the outline; at angle 0 they are the
    top left, top right, bottom right and bottom left."""
    half, cosine, sine = boxes[:, 2:4] / 2, np.cos(boxes[:, 4]), np.sin(boxes[:, 4])
    across = np.stack((half[:, 0] * cosine, half[:, 0] * sine), axis=1)
    down = np.stack((-half[:, 1] * sine, half[:, 1] * cosine), axis=1)
    offsets = np.stack((-across - down, across - down, across + down, down - across), axis=1)
    corners: NDArray[Real] = boxes[:, None, :2] + offsets
    return corners


def around(corners: NDArray[Real]) -> NDArray[Real]:
    """Returns the smallest boxes xyxy [n, 4] around corners [n, 4, 2]."""
    return np.concatenate((corners.min(axis=1), corners.max(axis=1)), axis=1)


def oriented_overlap(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns how much rectangles of any angle overlap: ProbIoU [n, m] of corners `a` [n, 4, 2] and `b` [m, 4, 2], from
    0 to 1. It is 0 if one has no area.

    Each rectangle stands for the normal distribution with its mean and covariance S; e, f being two of its sides as
    vectors, S = (e e^T + f f^T) / 12. ProbIoU = 1 − sqrt(1 − B), B = exp(−d^T (S1 + S2)^-1 d / 4) · (|S1| |S2|)^(1/4) /
    |(S1 + S2) / 2|^(1/2), d being the distance of the centres (Llerena et al. 2021, "Gaussian Bounding Boxes and
    Probabilistic Intersection-over-Union for Object Detection", arXiv 2106.06072). Ultralytics suppresses by it.
    """
    (xx, yy, xy, area_a), (other_xx, other_yy, other_xy, area_b) = _spread(a), _spread(b)
    xx, yy, xy = xx[:, None] + other_xx, yy[:, None] + other_yy, xy[:, None] + other_xy
    apart = a.mean(axis=1)[:, None] - b.mean(axis=1)
    x, y = apart[..., 0], apart[..., 1]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        volume = xx * yy - xy * xy
        distance = (yy * x * x - 2 * xy * x * y + xx * y * y) / volume / 4
        alike = np.exp(-distance) * np.sqrt(area_a[:, None] * area_b / 36 / volume)
        overlap = 1 - np.sqrt(np.maximum(1 - alike, 0))
    found: NDArray[np.float64] = np.where((volume > 0) & np.isfinite(overlap), overlap, 0)
    return found


def _spread(corners: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Returns the covariance of rectangles, as xx, yy and xy [n] each, and their areas [n]."""
    across, down = corners[:, 1] - corners[:, 0], corners[:, 3] - corners[:, 0]
    xx, yy = ((across**2 + down**2) / 12).T
    xy = (across[:, 0] * across[:, 1] + down[:, 0] * down[:, 1]) / 12
    return xx, yy, xy, np.abs(across[:, 0] * down[:, 1] - across[:, 1] * down[:, 0])


ARCFACE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float64
)
"""Right eye, left eye, nose, right and left corner of the mouth (left to right in the image), in pixels of a 112 x 112
crop. The template that ArcFace and SFace were trained with (Deng et al. 2019, arXiv 1801.07698).
"""
ARCFACE.setflags(write=False)


def similarity(points: NDArray[np.floating], template: NDArray[np.floating]) -> NDArray[np.float64]:
    """Returns the 2 x 3 matrix that maps `points` [n, 2] to `template` [n, 2] with the least squared error.

    Umeyama 1991, "Least-squares estimation of transformation parameters between two point patterns"; in two dimensions
    the optimal rotation has a closed form. Raises ValueError if the points coincide or are not finite.
    """
    source, target = np.asarray(points, np.float64), np.asarray(template, np.float64)
    if not np.isfinite(source).all():
        raise ValueError(f"the points {source.tolist()} define no transform: they are not finite")
    from_centre, to_centre = source.mean(axis=0), target.mean(axis=0)
    p, q = source - from_centre, target - to_centre
    spread = float((p * p).sum())
    if not spread > 1e-12:
        raise ValueError(f"the points {source.tolist()} define no transform: they coincide")
    cosine = float((p * q).sum()) / spread
    sine = float((p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]).sum()) / spread
    turn = np.array([[cosine, -sine], [sine, cosine]])
    return np.column_stack((turn, to_centre - turn @ from_centre))


def inverse(transform: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the inverse transform, [2, 3]. Raises ValueError if there is none."""
    try:
        turn = np.linalg.inv(transform[:, :2])
    except np.linalg.LinAlgError:
        raise ValueError("the transform maps everything to one point and cannot be inverted") from None
    return np.column_stack((turn, -turn @ transform[:, 2]))
