"""Average precision as COCO defines it, and what is confused with what."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sightd.daemon.tools.label.finder import Found
from sightd.daemon.tools.training.detector.evaluation import Truth, average_precision, evaluate

LABELS = ("parcel", "cog")


def truth(*objects: tuple[int, float]) -> Truth:
    """Squares of 10 pixels: (label, x)."""
    boxes = np.array([[x, 0, x + 10, 10] for _, x in objects], np.float32).reshape(-1, 4)
    return boxes, np.array([label for label, _ in objects], np.int64)


def found(*boxes: tuple[int, float, float]) -> Found:
    """Squares of 10 pixels: (label, x, score)."""
    return Found(
        np.array([[x, 0, x + 10, 10] for _, x, _ in boxes], np.float32).reshape(-1, 4),
        np.array([score for _, _, score in boxes], np.float32),
        np.array([label for label, _, _ in boxes], np.int64),
    )


def test_everything_found_and_nothing_else_is_one() -> None:
    result = evaluate(LABELS, [(truth((0, 0), (1, 50)), found((0, 0, 0.9), (1, 50, 0.8)))])
    assert (result.map50, result.map50_95) == (1.0, 1.0)
    assert result.confusion.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_a_second_box_on_one_object_is_false() -> None:
    result = evaluate(LABELS, [(truth((0, 0)), found((0, 1, 0.9), (0, 0, 0.5)))])
    assert result.map50 == 1.0, "it comes after the right one"
    result = evaluate(LABELS, [(truth((0, 0), (0, 50)), found((0, 1, 0.9), (0, 0, 0.8), (0, 50, 0.7)))])
    assert result.map50 == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)


def test_a_shifted_box_counts_at_low_overlaps_only() -> None:
    result = evaluate(LABELS, [(truth((0, 0)), found((0, 2, 0.9)))])  # overlap 8 / 12
    assert result.precision[0].tolist() == [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    assert result.map50_95 == pytest.approx(0.4)


def test_a_class_without_objects_is_left_out_of_the_mean() -> None:
    result = evaluate(LABELS, [(truth((0, 0)), found((0, 0, 0.9), (1, 50, 0.9)))])
    assert result.map50 == 1.0
    assert np.isnan(result.precision[1]).all()
    assert math.isnan(evaluate(LABELS, [(truth(), found())]).map50)


def test_precision_is_that_of_the_best_at_each_recall() -> None:
    assert average_precision(np.array([True, False, True]), 2) == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)
    assert average_precision(np.array([False, False]), 3) == 0.0
    assert average_precision(np.zeros(0, np.bool_), 3) == 0.0


def test_confusion_shows_what_was_taken_for_what() -> None:
    pair = (
        truth((0, 0), (1, 50), (1, 100)),
        found((1, 1, 0.9), (1, 51, 0.8), (0, 200, 0.7), (1, 100, 0.1)),
    )
    assert evaluate(LABELS, [pair]).confusion.tolist() == [[0, 1, 0], [0, 1, 1], [1, 0, 0]]
