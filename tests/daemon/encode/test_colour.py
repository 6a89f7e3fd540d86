"""BGR is converted to 4:2:0 into the caller's buffer, and sizes are checked."""

import numpy as np
import pytest

from sightd.daemon.encode.encoder import i420_for, to_i420


def test_colours_are_those_of_bt601_in_limited_range() -> None:
    into = i420_for(4, 4)
    to_i420(np.full((4, 4, 3), (0, 0, 255), np.uint8), into)
    luma, u, v = into[:4], into[4:5], into[5:6]
    assert np.all(np.abs(luma.astype(int) - 81) <= 1)
    assert np.all(np.abs(u.astype(int) - 90) <= 1)
    assert np.all(np.abs(v.astype(int) - 240) <= 1)


def test_white_and_black_are_the_ends_of_the_limited_range() -> None:
    into = i420_for(2, 2)
    for level, luma in ((255, 235), (0, 16)):
        to_i420(np.full((2, 2, 3), level, np.uint8), into)
        assert np.all(into[:2] == luma)


@pytest.mark.parametrize("size", [(641, 360), (640, 361), (0, 2), (2, -2)])
def test_a_size_without_whole_chroma_pixels_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="even sides"):
        i420_for(*size)


def test_a_picture_of_another_size_is_refused_and_nothing_is_written() -> None:
    into = i420_for(4, 4)
    into[:] = 7
    with pytest.raises(ValueError, match="does not fit"):
        to_i420(np.zeros((8, 8, 3), np.uint8), into)
    assert np.all(into == 7)
