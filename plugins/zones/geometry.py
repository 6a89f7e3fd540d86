"""Geometry of zones: polygons, directed lines and the ground plane. Points are float64 [n, 2], x right and y down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from sightd.plugins.geometry.regions import inside

Points = NDArray[np.float64]
Point = tuple[float, float]
_GRID = 48
"""Points along each side of a polygon's bounding box at which its depth is measured."""
_ON_BORDER = 1e-3
"""A corner this close to the border of the frame, as a fraction of it, lies on the border."""


def crossing_edges(corners: Sequence[Point]) -> tuple[int, int] | None:
    """Returns the numbers (from 1) of two edges of a closed polygon that cross, touch or overlap, other than neighbours
    at their common corner; None if it is simple. Edge n begins at corner n."""
    count = len(corners)
    edges = [(corners[i], corners[(i + 1) % count]) for i in range(count)]
    for (i, (a, b)), (j, (c, d)) in combinations(enumerate(edges), 2):
        if j == i + 1 or (i == 0 and j == count - 1):
            before, common, after = (a, b, d) if j == i + 1 else (c, d, b)
            if _folds_back(before, common, after):
                return i + 1, j + 1
        elif _meet(a, b, c, d):
            return i + 1, j + 1
    return None


def _turn(a: Point, b: Point, c: Point) -> int:
    """Returns on which side of a→b the point c lies: 1, -1, or 0 on the line."""
    area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    return 0 if abs(area) < 1e-12 else 1 if area > 0 else -1


def _folds_back(before: Point, common: Point, after: Point) -> bool:
    ahead = (before[0] - common[0]) * (after[0] - common[0]) + (before[1] - common[1]) * (after[1] - common[1])
    return before == common or common == after or (_turn(before, common, after) == 0 and ahead > 0)


def _meet(a: Point, b: Point, c: Point, d: Point) -> bool:
    if _turn(a, b, c) != _turn(a, b, d) and _turn(c, d, a) != _turn(c, d, b):
        return True
    return any(_turn(p, q, r) == 0 and _between(p, q, r) for p, q, r in ((a, b, c), (a, b, d), (c, d, a), (c, d, b)))


def _between(a: Point, b: Point, c: Point) -> bool:
    return min(a[0], b[0]) <= c[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= c[1] <= max(a[1], b[1])


@dataclass(frozen=True, slots=True, eq=False)
class Area:
    """A polygon in pixels: `corners` float64 [m, 2]. `counted` bool [m]: the edges that can be crossed; one along the
    border of the frame is none, because nothing is beyond it. `depth`: how far its innermost point is from these."""

    corners: Points
    counted: NDArray[np.bool_]
    depth: float

    @classmethod
    def of(cls, fractions: Sequence[Point], width: int, height: int) -> Area:
        share = np.array(fractions, np.float64)
        following = np.roll(share, -1, axis=0)
        along = [
            (np.abs(share - border) < _ON_BORDER) & (np.abs(following - border) < _ON_BORDER) for border in (0.0, 1.0)
        ]
        on_border = np.asarray(np.stack(along).any(axis=(0, 2)))
        corners = share * (width, height)
        area = cls(corners, ~on_border, np.inf)
        low, high = corners.min(axis=0), corners.max(axis=0)
        x, y = (np.linspace(low[axis], high[axis], _GRID) for axis in (0, 1))
        grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        return cls(corners, area.counted, max(float(area.distances(grid).max()), 0.0))

    def distances(self, points: Points) -> Points:
        """Returns the distance of each point from the nearest counted edge [n]: positive inside, negative outside."""
        begin, end = self.corners[self.counted], np.roll(self.corners, -1, axis=0)[self.counted]
        inner = inside(points, self.corners)
        if not len(begin):
            return np.where(inner, np.inf, -np.inf).astype(np.float64)
        edge = end - begin
        reach = points[:, None] - begin
        share = np.clip((reach * edge).sum(axis=2) / (edge * edge).sum(axis=1), 0, 1)
        away = np.sqrt(((reach - share[..., None] * edge) ** 2).sum(axis=2)).min(axis=1)
        signed: Points = np.where(inner, away, -away)
        return signed


@dataclass(frozen=True, slots=True, eq=False)
class Gate:
    """A directed line in pixels, from `start` to `end` (float64 [2])."""

    start: Points
    end: Points

    def offsets(self, points: Points) -> Points:
        """Returns the distance of each point from the endless line [n]: positive on the right as one looks from start
        to end."""
        along = self.end - self.start
        away = points - self.start
        offsets: Points = (along[0] * away[:, 1] - along[1] * away[:, 0]) / np.hypot(*along)
        return offsets

    def shares(self, points: Points) -> Points:
        """Returns where the foot of each point lies on the line [n]: 0 at the start, 1 at the end."""
        along = self.end - self.start
        shares: Points = ((points - self.start) @ along) / (along @ along)
        return shares


@dataclass(frozen=True, slots=True, eq=False)
class GroundPlane:
    """Maps pixels to metres on the ground: a homography float64 [3, 3]."""

    matrix: Points

    @classmethod
    def of_scale(cls, pixels: Points, metres: float) -> GroundPlane:
        """The same scale everywhere: the two points [2, 2] are `metres` apart."""
        scale = metres / float(np.hypot(*(pixels[1] - pixels[0])))
        return cls(np.diag([scale, scale, 1.0]))

    @classmethod
    def of_corners(cls, pixels: Points, metres: Points) -> GroundPlane:
        """From four points in pixels and in metres, [4, 2] each (Hartley & Zisserman, Multiple View Geometry, 4.1).
        Raises numpy.linalg.LinAlgError if three of them are on a line."""
        rows = []
        for (x, y), (u, v) in zip(pixels, metres, strict=True):
            rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        solved = np.linalg.solve(np.array(rows, np.float64), metres.reshape(-1))
        matrix = np.append(solved, 1.0).reshape(3, 3)
        return cls(matrix * np.sign(pixels[0] @ matrix[2, :2] + 1.0))

    def metres(self, points: Points) -> Points:
        """Returns the points on the ground in metres [n, 2]; NaN above the horizon."""
        homogeneous = np.column_stack((points, np.ones(len(points)))) @ self.matrix.T
        depth = np.where(homogeneous[:, 2:] > 0, homogeneous[:, 2:], np.nan)
        ground: Points = homogeneous[:, :2] / depth
        return ground
