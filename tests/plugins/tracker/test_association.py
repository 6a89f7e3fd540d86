"""Pairing of tracks with detections: overlap, direction, best assignment."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sightd.engines.geometry import from_centre_size, iou
from sightd.plugins.tracker.association import Indices, assign, buffered_iou, momentum
from sightd.plugins.tracker.motion import Rows


@given(arrays(np.float64, (4, 4), elements=st.floats(0, 1)))
def test_the_assignment_has_the_greatest_possible_sum(overlap: Rows) -> None:
    least = 0.3
    rows, columns = assign(overlap, least)
    assert len(set(rows.tolist())) == len(rows)
    assert len(set(columns.tolist())) == len(columns)
    assert (overlap[rows, columns] >= least).all()
    # The value of a pair is how much it exceeds the cost of not pairing.
    price = least - 0.1
    worth = np.where(overlap >= least, overlap - price, 0)
    best = max(sum(worth[row, column] for row, column in enumerate(order)) for order in permutations(range(4)))
    np.testing.assert_allclose(worth[rows, columns].sum(), best, atol=1e-9)


def test_where_nothing_overlaps_nothing_is_paired() -> None:
    assert len(assign(np.full((3, 2), 0.29), 0.3)[0]) == 0
    assert len(assign(np.zeros((0, 2)), 0.3)[0]) == 0


def test_direction_decides_between_equal_overlaps() -> None:
    """Both came from the left, one moving up and one down; each continues in its direction."""
    start = np.array([[0.0, 200], [0, 0]])
    met = np.array([[100.0, 105], [100, 95]])
    found = np.array([[150.0, 140], [150, 60]])

    def straight_on(rows: Indices, columns: Indices) -> Rows:
        return momentum(start[rows], met[rows], np.full(2, 50.0), found[columns], np.ones(2))

    rows, columns = assign(np.full((2, 2), 0.6), 0.3, straight_on)
    assert dict(zip(rows.tolist(), columns.tolist(), strict=True)) == {0: 1, 1: 0}


def test_an_object_that_stands_has_no_direction() -> None:
    start = np.array([[100.0, 100]])
    bonus = momentum(start, start, np.array([150.0]), np.array([[160.0, 100], [40, 100]]), np.ones(2))
    np.testing.assert_allclose(bonus, 0, atol=1e-9)


sizes = arrays(np.float64, (3, 4), elements=st.integers(0, 500).map(float))


@given(sizes, sizes)
def test_overlap_without_a_margin_is_the_iou(tracks: Rows, found: Rows) -> None:
    expected = iou(from_centre_size(tracks), from_centre_size(found))
    np.testing.assert_allclose(buffered_iou(tracks, found, np.zeros((3, 2))), expected, atol=1e-9)


def test_boxes_less_than_twice_the_margin_apart_overlap() -> None:
    track, beside = np.array([[100.0, 100, 40, 80]]), np.array([[160.0, 100, 40, 80]])
    assert buffered_iou(track, beside, np.array([[9.0, 0]]))[0, 0] == 0
    assert buffered_iou(track, beside, np.array([[20.0, 0]]))[0, 0] == 20 / 140
