"""Polygons, lines and the ground."""

from __future__ import annotations

import numpy as np
import pytest

from sightd.plugins.zones.geometry import Area, Gate, GroundPlane, Point, crossing_edges


@pytest.mark.parametrize(
    ("corners", "edges"),
    [
        ([(0, 0), (1, 0), (1, 1), (0, 1)], None),
        ([(0, 0), (1, 0), (0.5, 0.5), (1, 1), (0, 1)], None),  # an inward corner
        ([(0, 0), (1, 1), (1, 0), (0, 1)], (1, 3)),
        ([(0, 0), (1, 0), (1, 1), (0.5, 0), (0, 1)], (1, 3)),  # touches an edge
        ([(0, 0), (1, 0), (0.5, 0)], (1, 2)),  # folds back
        ([(0, 0), (0, 0), (1, 1), (1, 0)], (1, 2)),  # a corner twice
    ],
)
def test_a_polygon_must_not_touch_itself(corners: list[Point], edges: tuple[int, int] | None) -> None:
    assert crossing_edges(corners) == edges


def test_distances_are_positive_inside_and_negative_outside() -> None:
    area = Area.of([(0.2, 0.2), (0.6, 0.2), (0.6, 0.4), (0.2, 0.4)], 100, 200)
    points = np.array([[40, 60], [22, 60], [10, 60], [10, 30]], np.float64)
    assert area.distances(points).tolist() == pytest.approx([20, 2, -10, -np.hypot(10, 10)])
    assert area.depth == pytest.approx(20, rel=0.05)


def test_the_border_of_the_frame_is_no_edge() -> None:
    area = Area.of([(0.5, 0.5), (1, 0.5), (1, 1), (0.5, 1)], 100, 100)
    assert area.distances(np.array([[99.9, 99.9]])).tolist() == pytest.approx([49.9])
    everything = Area.of([(0, 0), (1, 0), (1, 1), (0, 1)], 100, 100)
    assert everything.distances(np.array([[50.0, 50.0]])).tolist() == [np.inf]


def test_offsets_are_positive_on_the_right() -> None:
    gate = Gate(np.array([0.0, 100.0]), np.array([0.0, 0.0]))
    points = np.array([[30.0, 50.0], [-10.0, 120.0]])
    assert gate.offsets(points).tolist() == pytest.approx([30, -10])
    assert gate.shares(points).tolist() == pytest.approx([0.5, -0.2])


def test_four_points_give_metres_on_the_ground_up_to_the_horizon() -> None:
    pixels = np.array([[400, 200], [600, 200], [900, 800], [100, 800]], np.float64)
    metres = np.array([[0, 0], [4, 0], [4, 30], [0, 30]], np.float64)
    ground = GroundPlane.of_corners(pixels, metres)
    assert np.allclose(ground.metres(pixels), metres)
    assert np.isnan(ground.metres(np.array([[500.0, -300.0]]))).all()
