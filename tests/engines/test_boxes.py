"""Box geometry, compared with exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightd.engines.geometry import area, clip, from_centre_size, intersection, iou, to_centre_size
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
