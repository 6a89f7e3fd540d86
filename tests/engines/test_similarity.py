"""The transform that maps a face to the template."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sightd.engines.geometry import ARCFACE, inverse, similarity


def umeyama(points: NDArray[np.float64], template: NDArray[np.float64]) -> NDArray[np.float64]:
    """Implements equations 40 to 42 of the paper, by singular values."""
    p, q = points - points.mean(axis=0), template - template.mean(axis=0)
    u, values, v = np.linalg.svd(q.T @ p / len(p))
    signs = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(v))])
    turn = (u * signs) @ v * (values @ signs) / (p * p).sum() * len(p)
    return np.column_stack((turn, template.mean(axis=0) - turn @ points.mean(axis=0)))


@given(st.integers(0, 2**32 - 1))
def test_it_is_umeyamas_also_where_points_are_mirrored(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(0, 40, (5, 2)) + rng.normal(0, 300, 2)
    np.testing.assert_allclose(similarity(points, ARCFACE), umeyama(points, ARCFACE), rtol=1e-6, atol=1e-8)


def test_points_of_the_template_stay_where_they_are() -> None:
    np.testing.assert_allclose(similarity(ARCFACE, ARCFACE), [[1, 0, 0], [0, 1, 0]], atol=1e-12)


def test_the_way_back_is_that_of_opencv() -> None:
    transform = similarity(ARCFACE[::-1] * 3 + 7, ARCFACE)
    np.testing.assert_allclose(inverse(transform), cv2.invertAffineTransform(transform), atol=1e-9)
    with pytest.raises(ValueError, match="cannot be inverted"):
        inverse(np.zeros((2, 3)))


@pytest.mark.parametrize("value", [3.0, np.nan, np.inf])
def test_points_without_extent_have_no_transform(value: float) -> None:
    with pytest.raises(ValueError, match=r"coincide|are not finite"):
        similarity(np.full((5, 2), value), ARCFACE)
