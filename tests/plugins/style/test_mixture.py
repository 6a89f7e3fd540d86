"""Styles and mixtures are selected by name."""

from __future__ import annotations

import numpy as np
import pytest

from sightd.engines.labels import STYLES
from sightd.plugins.style.mixture import Cycle, weights_of


def test_every_style_has_a_name_of_its_own() -> None:
    assert len(set(STYLES)) == len(STYLES) == 26


def test_a_mixture_is_of_the_shares_it_states() -> None:
    weights = weights_of({"starry": 3, "delft": 1}, STYLES)
    assert weights.sum() == pytest.approx(1)
    assert weights[STYLES.index("starry")] == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("mixture", "told"),
    [({"stary": 1.0}, 'did you mean "starry"'), ({}, "greater than zero"), ({"ember": -1.0}, "greater than zero")],
)
def test_what_is_no_style_is_reported(mixture: dict[str, float], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        weights_of(mixture, STYLES)


def test_one_style_stays() -> None:
    cycle = Cycle.of([weights_of({"rust": 1}, STYLES)], 10, 2)
    np.testing.assert_array_equal(cycle.at(0), cycle.at(12_345.6))


def test_several_follow_each_other_and_pass_over_smoothly() -> None:
    first, second = weights_of({"rust": 1}, STYLES), weights_of({"haze": 1}, STYLES)
    cycle = Cycle.of([first, second], 10, 2)
    np.testing.assert_allclose(cycle.at(7.9), first)
    np.testing.assert_allclose(cycle.at(9.0), (first + second) / 2)
    np.testing.assert_allclose(cycle.at(10.1), second)
    np.testing.assert_allclose(cycle.at(20.0), first, atol=1e-6)
    steps = np.array([cycle.at(8 + n / 50) for n in range(101)])
    assert np.abs(np.diff(steps, axis=0)).max() < 0.02
    np.testing.assert_allclose(steps.sum(axis=1), 1, atol=1e-6)


def test_without_a_fade_they_are_cut() -> None:
    cycle = Cycle.of([weights_of({"rust": 1}, STYLES), weights_of({"haze": 1}, STYLES)], 10, 0)
    np.testing.assert_array_equal(cycle.at(9.999), weights_of({"rust": 1}, STYLES))
