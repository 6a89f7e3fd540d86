"""Ages of frames: quantiles, windows, order."""

from __future__ import annotations

import math

from bench.pipeline.ages import Ages, ages_of, out_of_order, quantile, within
from tests.support.barcode import Bar
from tests.support.viewer import Seen


def seen(at: float, number: int | None, latency: float = 0.05) -> Seen:
    bar = None if number is None else Bar(number, 0)
    return Seen(at, (1280, 720), bar, None if bar is None else latency)


def test_a_quantile_is_a_value_that_was_measured() -> None:
    assert quantile([1, 2, 3, 4], 0.5) == 2
    assert quantile([1, 2, 3, 4], 0.95) == 4
    assert quantile([7], 0.0) == 7


def test_there_is_no_quantile_of_nothing() -> None:
    assert math.isnan(quantile([], 0.5))
    assert math.isnan(Ages.of([]).most)


def test_ages_are_printed_in_ms() -> None:
    assert Ages.of([0.03, 0.01, 0.02]) == Ages(3, 20, 30, 30)


def test_a_window_holds_its_begin_and_not_its_end() -> None:
    assert [picture.at for picture in within([seen(t, 0) for t in (0.9, 1.0, 1.5, 2.0)], 1.0, 2.0)] == [1.0, 1.5]


def test_pictures_without_a_readable_bar_have_no_age() -> None:
    assert ages_of([seen(0, 1, 0.04), seen(0, None)]) == [0.04]


def test_repeated_and_older_pictures_are_out_of_order_and_gaps_are_not() -> None:
    assert out_of_order([seen(n, n) for n in (1, 2, 5, 9)]) == 0
    assert out_of_order([seen(0, n) for n in (1, 3, 2, 2, 4)]) == 2
