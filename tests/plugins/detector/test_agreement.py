"""How closely two detectors agree."""

from __future__ import annotations

import numpy as np
import pytest

from sightd.plugins.api import Detections
from sightd.plugins.detector.agreement import Agreement, agreement

LABELS = ("cat", "dog")


def seen(*objects: tuple[float, float, int]) -> Detections:
    """Returns boxes 10 px wide at x, with score and class."""
    boxes = [(x, 0, x + 10, 10) for x, _, _ in objects]
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array([score for _, score, _ in objects], np.float32),
        np.array([kind for _, _, kind in objects], np.int64),
        LABELS,
    )


def test_the_same_is_found_again() -> None:
    both = seen((0, 0.9, 0), (50, 0.5, 1))
    assert agreement([(both, both)]) == Agreement(2, 2, 2, 2, 1.0)


def test_a_score_that_falls_a_little_is_no_loss() -> None:
    assert agreement([(seen((0, 0.41, 0)), seen((0, 0.39, 0)))]) == Agreement(1, 1, 0, 0, 1.0)


def test_another_class_or_place_is_a_loss_and_something_new() -> None:
    assert agreement([(seen((0, 0.9, 0)), seen((0, 0.9, 1)))]) == Agreement(1, 0, 1, 0, 0.0)
    assert agreement([(seen((0, 0.9, 0)), seen((8, 0.9, 0)))]) == Agreement(1, 0, 1, 0, 0.0)


def test_pictures_add_up_and_overlaps_are_averaged() -> None:
    one, moved = seen((0, 0.9, 0)), seen((2, 0.9, 0))
    got = agreement([(one, one), (one, moved), (seen(), one)])
    assert (got.clear, got.found, got.other_clear, got.grounded) == (2, 2, 3, 2)
    assert got.overlap == pytest.approx((1 + 8 / 12) / 2)


def test_it_is_described_in_a_sentence() -> None:
    assert str(Agreement(40, 39, 41, 40, 0.953)) == (
        "39 of 40 objects found again (97.5 %), 1 of 41 new, mean box overlap 0.95"
    )
    assert str(agreement([])) == "no objects in the images to compare"
