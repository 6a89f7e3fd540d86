"""Suppression, compared with the greedy loop in exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightd.plugins.api import FloatArray, IntArray
from sightd.plugins.geometry.nms import nms
from tests.engines.test_boxes import exact_iou

Row = tuple[tuple[int, int, int, int], int, int]
"""Box, score in hundredths, class."""

LIMITS = {"0.1": Fraction(1, 10), "0.45": Fraction(45, 100), "0.5": Fraction(1, 2), "0.6": Fraction(6, 10)}


def greedy(rows: list[Row], max_iou: Fraction, agnostic: bool) -> list[int]:
    """Implements the definition, one box at a time."""
    kept: list[int] = []
    for i in sorted(range(len(rows)), key=lambda i: (-rows[i][1], i)):
        rivals = [j for j in kept if agnostic or rows[j][2] == rows[i][2]]
        if all(exact_iou(rows[i][0], rows[j][0]) <= max_iou for j in rivals):
            kept.append(i)
    return kept


def arrays(rows: list[Row]) -> tuple[FloatArray, FloatArray, IntArray]:
    boxes = np.array([row[0] for row in rows], np.float32).reshape(-1, 4)
    scores = np.array([row[1] for row in rows], np.float32) / np.float32(100)
    return boxes, scores, np.array([row[2] for row in rows], np.int64)


def rows_near(origin: int, most: int) -> st.SearchStrategy[list[Row]]:
    """Generates boxes that often overlap, with few scores and classes, so that ties and rivals are common."""
    corner = st.integers(origin, origin + 12)
    side = st.integers(0, 12)
    box = st.tuples(corner, corner, side, side).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))
    return st.lists(st.tuples(box, st.integers(0, 8), st.integers(0, 2)), max_size=most)


@given(rows=rows_near(-6, 40), limit=st.sampled_from(sorted(LIMITS)), agnostic=st.booleans())
@settings(max_examples=200, deadline=None)
def test_it_keeps_what_the_greedy_loop_keeps_in_the_same_order(rows: list[Row], limit: str, agnostic: bool) -> None:
    boxes, scores, class_ids = arrays(rows)
    got = nms(boxes, scores, None if agnostic else class_ids, float(limit))
    assert got.tolist() == greedy(rows, LIMITS[limit], agnostic)


@given(rows=rows_near(-(2**23), 20) | rows_near(2**23 - 24, 20), limit=st.sampled_from(sorted(LIMITS)))
@settings(deadline=None)
def test_it_is_exact_far_from_the_origin(rows: list[Row], limit: str) -> None:
    boxes, scores, class_ids = arrays(rows)
    assert nms(boxes, scores, class_ids, float(limit)).tolist() == greedy(rows, LIMITS[limit], agnostic=False)


@pytest.mark.parametrize("seed", range(6))
def test_it_is_exact_over_many_blocks(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows: list[Row] = []
    for _ in range(500):
        x, y, w, h = (int(value) for value in random.integers((-40, -40, 5, 5), (60, 60, 40, 40)))
        rows.append(((x, y, x + w, y + h), int(random.integers(0, 60)), int(random.integers(0, 3))))
    boxes, scores, class_ids = arrays(rows)
    expected = greedy(rows, LIMITS["0.5"], agnostic=False)
    assert nms(boxes, scores, class_ids, 0.5).tolist() == expected
    assert len(expected) > 64  # otherwise the test does not cover several blocks

    wanted = random.random(len(rows)) < 0.3
    best_wanted = [i for i in expected if wanted[i]]
    for limit in (1, 20, 1000):
        assert nms(boxes, scores, class_ids, 0.5, limit=limit).tolist() == expected[:limit]
        assert nms(boxes, scores, class_ids, 0.5, limit=limit, wanted=wanted).tolist() == best_wanted[:limit]


def test_the_same_box_of_two_classes_stays_twice_unless_classes_compete() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10]], np.float32)
    scores, class_ids = np.array([0.5, 0.9], np.float32), np.array([0, 1])
    assert nms(boxes, scores, class_ids, 0.5).tolist() == [1, 0]
    assert nms(boxes, scores, None, 0.5).tolist() == [1]


def test_a_box_that_is_not_wanted_suppresses_all_the_same() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 11]], np.float32)
    scores, class_ids = np.array([0.9, 0.8], np.float32), np.zeros(2, np.int64)
    assert nms(boxes, scores, class_ids, 0.5, wanted=np.array([False, True])).tolist() == []


def test_a_chain_removes_every_second_box() -> None:
    left = np.arange(0, 100, 4, dtype=np.float32)
    boxes = np.stack((left, np.zeros_like(left), left + 10, np.full_like(left, 10)), axis=1)
    scores = np.linspace(0.9, 0.1, len(left), dtype=np.float32)
    assert nms(boxes, scores, np.zeros(len(left), np.int64), 0.4).tolist() == list(range(0, len(left), 2))


def test_boxes_of_enormous_size_do_not_overflow() -> None:
    boxes = np.array([[-3e30, -3e30, 3e30, 3e30], [-3e30, -3e30, 3e30, 2.9e30], [0, 0, 1, 1]], np.float32)
    assert nms(boxes, np.array([0.9, 0.8, 0.7], np.float32), np.zeros(3, np.int64), 0.5).tolist() == [0, 2]


def test_nothing_in_nothing_out() -> None:
    nothing = np.zeros((0, 4), np.float32)
    assert nms(nothing, np.zeros(0, np.float32), np.zeros(0, np.int64), 0.5, limit=3).tolist() == []
