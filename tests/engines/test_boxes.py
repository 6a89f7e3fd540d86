"""Box geometry, compared with exact fractions."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightd.engines.geometry import (
    area,
    around,
    clip,
    from_centre_size,
    intersection,
    iou,
    oriented_overlap,
    to_centre_size,
    turned,
)
from sightd.plugins.api import FloatArray

corner = st.integers(-50, 50)
box = st.tuples(corner, corner, corner, corner)


def boxes_of(rows: list[tuple[int, int, int, int]]) -> FloatArray:
    return np.array(rows, np.float32).reshape(-1, 4)


def exact_area(box: tuple[int, int, int, int]) -> int:
    return max(box[2] - box[0], 0) * max(box[3] - box[1], 0)


def exact_iou(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> Fraction:
    shared = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    union = exact_area(a) + exact_area(b) - shared
    return Fraction(shared, union) if union > 0 else Fraction(0)


upright = box.map(lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3])))


@given(st.lists(upright, max_size=6), st.lists(upright, max_size=6))
def test_iou_is_intersection_over_union_of_every_pair(
    a: list[tuple[int, int, int, int]], b: list[tuple[int, int, int, int]]
) -> None:
    got = iou(boxes_of(a), boxes_of(b))
    assert got.shape == (len(a), len(b))
    assert got.dtype == np.float32
    expected = [[float(exact_iou(one, other)) for other in b] for one in a]
    np.testing.assert_allclose(got, np.array(expected).reshape(got.shape), rtol=1e-6)


@given(st.lists(upright, min_size=1, max_size=6))
def test_iou_is_symmetric_and_one_with_itself(rows: list[tuple[int, int, int, int]]) -> None:
    boxes = boxes_of(rows)
    overlap = iou(boxes, boxes)
    np.testing.assert_array_equal(overlap, overlap.T)
    np.testing.assert_array_equal(np.diag(overlap), (area(boxes) > 0).astype(np.float32))


@given(st.lists(box, max_size=6))
def test_a_box_inside_out_has_no_area_and_shares_none(rows: list[tuple[int, int, int, int]]) -> None:
    boxes = boxes_of(rows)
    np.testing.assert_array_equal(area(boxes), [exact_area(row) for row in rows])
    everything = np.array([[-100, -100, 100, 100]], np.float32)
    np.testing.assert_array_equal(intersection(boxes, everything)[:, 0], area(boxes))


def test_two_boxes_without_area_have_no_overlap_and_no_nan() -> None:
    points = np.array([[3, 3, 3, 3], [3, 3, 3, 3]], np.float32)
    np.testing.assert_array_equal(iou(points, points), np.zeros((2, 2)))


@given(st.lists(box, max_size=6), st.integers(0, 40), st.integers(0, 40))
def test_clip_keeps_every_corner_in_the_picture(rows: list[tuple[int, int, int, int]], width: int, height: int) -> None:
    boxes = boxes_of(rows)
    before = boxes.copy()
    expected = [[min(max(value, 0), width if i % 2 == 0 else height) for i, value in enumerate(row)] for row in rows]
    np.testing.assert_array_equal(clip(boxes, width, height), boxes_of([tuple(row) for row in expected]))  # type: ignore[misc]
    np.testing.assert_array_equal(boxes, before)


@given(st.lists(box, max_size=6))
def test_centre_and_size_lead_back_to_the_corners(rows: list[tuple[int, int, int, int]]) -> None:
    boxes = boxes_of(rows)
    np.testing.assert_array_equal(from_centre_size(to_centre_size(boxes)), boxes)


def test_centre_and_size_of_a_box() -> None:
    got = to_centre_size(np.array([[10, 20, 30, 60]], np.float32))
    assert got.tolist() == [[20, 40, 20, 40]]


@pytest.mark.parametrize("function", [area, to_centre_size, from_centre_size])
def test_no_box_is_no_trouble(function: object) -> None:
    assert callable(function)
    assert len(function(np.zeros((0, 4), np.float32))) == 0


def prob_iou(one: Sequence[float], other: Sequence[float]) -> float:
    """Returns ProbIoU of boxes (x, y, w, h, angle) from the paper's definitions, with matrices."""

    def normal(x: float, y: float, w: float, h: float, angle: float) -> tuple[Any, Any]:
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return np.array([x, y]), turn @ np.diag([w * w / 12, h * h / 12]) @ turn.T

    (mean, spread), (other_mean, other_spread) = normal(*one), normal(*other)
    both, apart = (spread + other_spread) / 2, mean - other_mean
    distance = apart @ np.linalg.inv(both) @ apart / 8
    product = np.linalg.det(spread) * np.linalg.det(other_spread)
    distance += np.log(np.linalg.det(both) / np.sqrt(product)) / 2
    return float(1 - np.sqrt(max(1 - np.exp(-distance), 0)))


place, side = st.floats(-30, 30), st.floats(1, 40)
oriented = st.lists(st.tuples(place, place, side, side, st.floats(-4, 4)), min_size=1, max_size=4)


@given(oriented, oriented)
def test_oriented_boxes_overlap_as_their_normal_distributions_do(
    rows: list[tuple[float, ...]], others: list[tuple[float, ...]]
) -> None:
    a, b = np.array(rows), np.array(others)
    expected = [[prob_iou(one, other) for other in b.tolist()] for one in a.tolist()]
    np.testing.assert_allclose(oriented_overlap(turned(a), turned(b)), expected, atol=1e-6)


def test_corners_follow_the_outline_clockwise_on_the_screen() -> None:
    upright, quarter = turned(np.array([[10, 20, 8, 2, 0], [10, 20, 8, 2, np.pi / 2]]))
    np.testing.assert_allclose(upright, [[6, 19], [14, 19], [14, 21], [6, 21]])
    np.testing.assert_allclose(quarter, [[11, 16], [11, 24], [9, 24], [9, 16]], atol=1e-9)
    np.testing.assert_allclose(around(np.stack((upright, quarter))), [[6, 19, 14, 21], [9, 16, 11, 24]])


def test_oriented_boxes_without_area_or_with_nan_overlap_nothing() -> None:
    boxes = turned(np.array([[10, 10, 8, 0, 1], [10, 10, np.nan, 4, 0], [10, 10, 8, 2, 1]]))
    assert oriented_overlap(boxes, boxes).round(6).tolist() == [[0, 0, 0], [0, 0, 0], [0, 0, 1]]
