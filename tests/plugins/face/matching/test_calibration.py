"""Error rates are converted to cosines and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightd.plugins.face.matching.calibration import calibration_of
from tests.plugins.face.people import People

TABLE = calibration_of("sface")
assert TABLE is not None


@pytest.mark.parametrize(("fmr", "cosine"), [(1e-1, 0.2042), (1e-3, 0.3635), (3e-6, 0.4992)])
def test_the_tables_points_are_kept(fmr: float, cosine: float) -> None:
    assert TABLE is not None
    assert TABLE.cosine(fmr) == pytest.approx(cosine)
    assert TABLE.fmr(cosine) == pytest.approx(fmr)


@given(st.floats(-9, 0).map(lambda log: 10.0**log))
def test_back_and_forth_is_the_same(fmr: float) -> None:
    assert TABLE is not None
    assert TABLE.fmr(TABLE.cosine(fmr)) == pytest.approx(fmr, rel=1e-6)


def test_the_false_match_rate_is_bounded_outside_the_table() -> None:
    assert TABLE is not None
    assert TABLE.fmr(0.999) == 1e-9
    assert TABLE.fmr(-1.0) == 1.0


@given(st.integers(1, 10_000), st.integers(0, 20_000), st.floats(1e-6, 0.1))
def test_more_people_and_a_lower_rate_ask_for_more(persons: int, further: int, rate: float) -> None:
    assert TABLE is not None
    asked = TABLE.threshold(rate, persons, persons + further)
    assert TABLE.threshold(rate, persons + 1, persons + 1 + further) >= asked
    assert TABLE.threshold(rate, persons, persons + further + 1) >= asked
    assert TABLE.threshold(rate / 2, persons, persons + further) >= asked
    assert TABLE.threshold(rate / 2, 1, 1) > TABLE.threshold(rate, 1, 1)


def test_a_gallery_of_one_is_asked_the_rate_itself_and_an_empty_one_likewise() -> None:
    assert TABLE is not None
    assert TABLE.threshold(1e-3, 1, 1) == pytest.approx(TABLE.cosine(1e-3), abs=1e-4)
    assert TABLE.threshold(1e-3, 0, 0) == TABLE.threshold(1e-3, 1, 1)


def test_strangers_get_a_name_as_often_as_is_said() -> None:
    """Random people: 100 are enrolled, and the others are compared with them."""
    assert TABLE is not None
    looks = People(6000).one_look_each()
    nearest = (looks[100:] @ looks[:100].T).max(axis=1)
    for rate in (0.1, 0.01):
        found = float(np.mean(nearest >= TABLE.threshold(rate, 100, 100)))
        assert found <= 1.5 * rate, f"{found:.4f} of strangers' looks, {rate} were allowed"


def test_a_shift_moves_all_cosines() -> None:
    assert TABLE is not None
    shifted = replace(TABLE, shift=0.05)
    assert shifted.cosine(1e-3) == pytest.approx(0.4135)
    assert shifted.fmr(0.4135) == pytest.approx(1e-3)
    assert shifted.fnmr(0.4135) == pytest.approx(0.0108)


def test_a_recogniser_without_a_table_has_none() -> None:
    assert calibration_of("other") is None


def test_a_point_that_rests_on_a_handful_of_pairs_is_no_point() -> None:
    """The seven most similar of seven million pairs, some of them one person under two names."""
    assert TABLE is not None
    assert 0.51 < TABLE.cosine(1e-6) < 0.54
    assert TABLE.fnmr(0.5689) == pytest.approx(0.1559)


def test_misses_go_on_rising_above_the_table() -> None:
    assert TABLE is not None
    rates = [TABLE.fnmr(cosine) for cosine in (0.56, 0.57, 0.65, 0.75, 0.95)]
    assert sorted(rates) == rates
    assert rates[3] == pytest.approx(0.55, abs=0.1), "a person's looks have 0.73 in the mean"
