"""Regions: which boxes are inside a polygon."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from sightd.plugins.geometry.regions import Corners, Polygon, allowed, inside, standing_points

LEFT: Corners = [(0, 0), (0.5, 0), (0.5, 1), (0, 1)]
RIGHT: Corners = [(0.5, 0), (1, 0), (1, 1), (0.5, 1)]
NOTCHED: Corners = [(0, 0), (1, 0), (1, 1), (0.5, 0.5), (0, 1)]

hundredth = st.integers(0, 100).map(lambda value: value / 100)
point = st.tuples(hundredth, hundredth)


def winding(x: float, y: float, corners: Corners) -> float:
    """Returns the polygon's winding angle around a point: a different definition of inside from the code's."""
    angle = 0.0
    for (ax, ay), (bx, by) in zip(corners, [*corners[1:], corners[0]], strict=True):
        turn = math.atan2(by - y, bx - x) - math.atan2(ay - y, ax - x)
        angle += (turn + math.pi) % (2 * math.pi) - math.pi
    return abs(angle)


@given(point, st.tuples(point, point, point))
def test_a_point_is_in_a_triangle_where_its_outline_turns_around_it(
    at: tuple[float, float], corners: tuple[tuple[float, float], ...]
) -> None:
    x, y = at[0] + 0.005003, at[1] + 0.005007  # off the grid that the corners are on
    (ax, ay), (bx, by), (cx, cy) = corners
    assume(abs((bx - ax) * (cy - ay) - (cx - ax) * (by - ay)) > 1e-6)
    for (px, py), (qx, qy) in zip(corners, (*corners[1:], corners[0]), strict=True):
        assume(abs((qx - px) * (y - py) - (qy - py) * (x - px)) > 1e-9)  # not on an edge
    assert inside(np.array([[x, y]]), corners)[0] == (winding(x, y, list(corners)) > math.pi)


def test_a_polygon_may_have_a_notch() -> None:
    points = np.array([[0.5, 0.2], [0.5, 0.7], [0.1, 0.7], [0.9, 0.7]])
    assert inside(points, NOTCHED).tolist() == [True, False, True, True]


@given(point)
def test_neighbours_share_an_edge_and_no_point(at: tuple[float, float]) -> None:
    points = np.clip(np.array([at]), 0, np.nextafter(1, 0))
    assert inside(points, LEFT)[0] != inside(points, RIGHT)[0]


def test_a_box_stands_at_the_middle_of_its_lower_edge() -> None:
    boxes = np.array([[10, 10, 30, 50]], np.float32)
    np.testing.assert_allclose(standing_points(boxes, 200, 100), [[0.1, 0.5]])


def test_a_box_that_the_lower_edge_cuts_stands_in_a_region_that_reaches_down_to_it() -> None:
    points = standing_points(np.array([[0, 20, 60, 100]], np.float32), 200, 100)
    assert allowed(points, [LEFT], []).tolist() == [True]


def test_without_regions_everything_counts() -> None:
    assert allowed(np.array([[0.1, 0.1]]), [], []).tolist() == [True]


def test_one_of_the_regions_is_enough_and_an_ignored_one_outweighs_them() -> None:
    points = np.array([[0.2, 0.2], [0.8, 0.8], [0.2, 0.8]])
    top: Corners = [(0, 0), (1, 0), (1, 0.5), (0, 0.5)]
    assert allowed(points, [LEFT], []).tolist() == [True, False, True]
    assert allowed(points, [LEFT, RIGHT], []).tolist() == [True, True, True]
    assert allowed(points, [LEFT, RIGHT], [top]).tolist() == [False, True, True]
    assert allowed(points, [], [top]).tolist() == [False, True, True]


@pytest.mark.parametrize(
    "corners",
    [
        [[0, 0], [1, 1]],
        [[0, 0], [1, 1], [0.5, 0.5]],
        [[0, 0], [1, 0], [1, 0]],
        [[0, 0], [640, 0], [0, 480]],
        [[0, 0, 0], [1, 0, 0], [1, 1, 0]],
    ],
    ids=["two corners", "on one line", "a corner twice", "pixels", "three numbers"],
)
def test_what_is_no_polygon_in_fractions_is_refused(corners: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Polygon).validate_python(corners)
