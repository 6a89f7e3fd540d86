"""The steps from a model's output to an answer."""

from __future__ import annotations

import numpy as np
import pytest

from sightd.plugins.classifier.subjects import averaged, likeliest


def test_the_likeliest_come_first_and_of_equals_the_lower_class() -> None:
    scores = np.array([[0.1, 0.4, 0.1, 0.4], [0.7, 0.1, 0.2, 0]], np.float32)
    class_ids, found = likeliest(scores, 3)
    np.testing.assert_array_equal(class_ids, [[1, 3, 0], [0, 2, 1]])
    np.testing.assert_array_equal(found, np.array([[0.4, 0.4, 0.1], [0.7, 0.2, 0.1]], np.float32))
    assert likeliest(scores[:, :2], 5)[0].shape == (2, 2), "no more than there are"


def test_an_average_forgets_the_old_at_the_rate_that_is_asked_for() -> None:
    old, new = np.array([0.0], np.float32), np.array([1.0], np.float32)
    assert averaged(old, new, 0.5, 0.5) == pytest.approx(1 - np.exp(-1))
    assert averaged(old, new, 0.5, 0.0) == 1
    assert averaged(old, new, -1.0, 0.5) == 0, "a frame that comes too late changes nothing"
    twice = averaged(averaged(old, new, 0.2, 0.5), new, 0.3, 0.5)
    assert twice == pytest.approx(averaged(old, new, 0.5, 0.5)), "whatever the frame rate"
