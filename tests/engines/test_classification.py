"""Which part of an image a classifier sees, and how its output becomes probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from sightd.engines.classification import cut_out, part_of_object, part_of_picture, softmax


def test_of_a_picture_it_sees_the_square_in_the_middle_or_all() -> None:
    assert part_of_picture(640, 256, "centre") == (208, 16, 432, 240)
    assert part_of_picture(256, 640, "centre") == (16, 208, 240, 432)
    assert part_of_picture(640, 256, "whole") == (0, 0, 640, 256)
    left, top, right, bottom = part_of_picture(1, 1, "centre")
    assert (right - left, bottom - top) == (1, 1)


def test_of_an_object_it_sees_a_square_with_some_surroundings() -> None:
    assert part_of_object([100, 100, 200, 140], 640, 360, 0.1) == (90, 60, 210, 180)
    assert part_of_object([0, 0, 100, 40], 640, 360, 0.1) == (0, 0, 110, 80), "as far as the picture goes"


@pytest.mark.parametrize(
    "box", [[700, 10, 800, 50], [-50, 10, 0, 50], [10, 10, 10, 50], [10, 50, 40, 20], [np.nan, 0, 10, 10]]
)
def test_of_an_object_that_is_not_there_it_sees_nothing(box: list[float]) -> None:
    assert part_of_object(box, 640, 360, 0.1) is None


def test_what_is_made_smaller_is_averaged() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    assert np.abs(cut_out(stripes, (0, 0, 64, 64), (8, 8)).astype(int) - 100).max() <= 1
    assert cut_out(stripes, (0, 0, 8, 4), (16, 16)).shape == (16, 16, 3)
    same = cut_out(stripes, (8, 8, 16, 16), (8, 8))
    np.testing.assert_array_equal(same, stripes[8:16, 8:16])


def test_softmax_gives_probabilities_also_of_large_numbers() -> None:
    found = softmax(np.array([[1000, 1000 + np.log(3)], [-1000, 0]], np.float32))
    assert found.tolist() == [pytest.approx([0.25, 0.75], abs=1e-5), [0, 1]]
    assert found.dtype == np.float32


@pytest.mark.parametrize(
    ("given", "dtype"), [(np.float16, np.float32), (np.float32, np.float32), (np.float64, np.float64)]
)
def test_softmax_has_at_least_single_precision(given: type[np.floating], dtype: type[np.floating]) -> None:
    assert softmax(np.zeros((1, 4), given)).dtype == dtype
