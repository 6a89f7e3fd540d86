"""Regions of interest: polygons in fractions of the frame, tested at the point where an object stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from sightd.plugins.api import FloatArray, IntArray

Fraction = Annotated[float, Field(ge=0, le=1)]
Corners = list[tuple[Fraction, Fraction]]
Mask = NDArray[np.bool_]
_BEFORE_ONE = np.nextafter(np.float64(1), np.float64(0))


def _with_area(corners: Corners) -> Corners:
    x, y = np.array(corners, np.float64).T
    if len(set(corners)) < 3 or abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) < 1e-9:
        raise ValueError("a polygon needs at least three corners that are not on one line")
    return corners


Polygon = Annotated[Corners, Field(min_length=3), AfterValidator(_with_area)]
"""Corners (x, y) as fractions of the frame's width and height, (0, 0) at the top left; closed implicitly."""


def inside(points: NDArray[np.float64], corners: Sequence[tuple[float, float]] | NDArray[np.float64]) -> Mask:
    """Returns which of the points [n, 2] lie in the polygon: even-odd rule, counting the edges that a ray to the right
    crosses.

    An edge belongs to the polygon below or right of it, so polygons that share an edge never share a point.
    """
    x, y = points[:, :1], points[:, 1:]
    ax, ay = np.array(corners, np.float64).T
    bx, by = np.roll(ax, -1), np.roll(ay, -1)
    spans = (ay > y) != (by > y)
    rise = np.where(by == ay, 1.0, by - ay)  # a horizontal edge spans nothing, so any divisor will do
    cuts = spans & (x < ax + (y - ay) * (bx - ax) / rise)
    odd: Mask = np.count_nonzero(cuts, axis=1) % 2 == 1
    return odd


def standing_points(boxes: FloatArray, width: int, height: int) -> NDArray[np.float64]:
    """Returns the middle of each box's lower edge [n, 2] as fractions of the frame, at least 0 and below 1.

    Below 1, so that a box cut off by the lower edge of the frame stands in a region that reaches down to it.
    """
    points = np.stack(((boxes[:, 0] + boxes[:, 2]) / (2 * width), boxes[:, 3] / height), axis=1, dtype=np.float64)
    return np.clip(points, 0, _BEFORE_ONE)


def allowed(points: NDArray[np.float64], only_inside: Sequence[Corners], ignore: Sequence[Corners]) -> Mask:
    """Returns which points lie in at least one of `only_inside` (if it is not empty) and in none of `ignore`."""
    allowed = np.full(len(points), not only_inside)
    for corners in only_inside:
        allowed |= inside(points, corners)
    for corners in ignore:
        allowed &= ~inside(points, corners)
    return allowed


_HEAD = 0.5
"""A face belongs to a person if its centre is in this upper share of the person's box."""


def persons_of_faces(faces: FloatArray, persons: FloatArray) -> IntArray:
    """Returns the row among the boxes `persons` [n, 4] of the person who has each of the `faces` [m, 4], both xyxy in
    px: the smallest whose head it can be; -1 if there is none. int64 [m]."""
    centres = (faces[:, None, :2] + faces[:, None, 2:]) / 2
    sides = persons[:, 2:] - persons[:, :2]
    lower_right = persons[:, :2] + sides * np.array([1, _HEAD], np.float32)
    heads = np.asarray(((persons[:, :2] <= centres) & (centres <= lower_right)).all(axis=2))
    if not len(persons):
        return np.full(len(faces), -1, np.int64)
    smallest = np.where(heads, sides.prod(axis=1), np.inf).argmin(axis=1)
    return np.where(heads.any(axis=1), smallest, -1).astype(np.int64)
