"""The test pattern."""

from __future__ import annotations

import numpy as np
import pytest

from sightd.daemon.capture.testpattern import TestPattern


@pytest.mark.parametrize("size", [(1280, 720), (640, 480), (1920, 1080), (16, 16), (333, 77)])
def test_it_can_be_drawn_at_any_size(size: tuple[int, int]) -> None:
    width, height = size
    picture = TestPattern(width, height, 25).draw(3, 1000.0)
    assert picture.shape == (height, width, 3)
    assert picture.dtype == np.uint8


def test_it_moves_from_picture_to_picture() -> None:
    pattern = TestPattern(640, 360, 25)
    assert (pattern.draw(0, 0.0) != pattern.draw(1, 0.0)).any()


def test_its_clock_runs() -> None:
    pattern = TestPattern(640, 360, 25)
    assert (pattern.draw(5, 1000.0) != pattern.draw(5, 1001.0)).any()


def test_the_same_number_and_time_give_the_same_picture() -> None:
    pattern = TestPattern(640, 360, 25)
    first = pattern.draw(7, 1000.0)
    pattern.draw(8, 1001.0)
    assert (pattern.draw(7, 1000.0) == first).all()
