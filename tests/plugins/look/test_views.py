"""Views of a frame."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightd.plugins.look.views import (
    View,
    around,
    contains,
    cut_off,
    even,
    grid,
    largest_grid,
    tiles,
    union,
    united,
)


@given(
    size=st.tuples(st.integers(1, 4000), st.integers(1, 3000)),
    side=st.tuples(st.integers(32, 700), st.integers(32, 700)),
    overlap=st.floats(0, 0.5),
)
def test_tiles_cover_the_frame_and_stay_inside(size: tuple[int, int], side: tuple[int, int], overlap: float) -> None:
    views = tiles(*size, side, overlap)
    for axis, length in enumerate(size):
        spans = sorted({(view[axis], view[axis + 2]) for view in views})
        assert spans[0][0] == 0
        assert spans[-1][1] == length
        assert all(end - start <= side[axis] for start, end in spans)
        assert all(later[0] <= earlier[1] for earlier, later in pairwise(spans))


def test_an_object_as_large_as_the_overlap_is_complete_in_one_tile() -> None:
    views = tiles(1920, 1080, (416, 416), overlap=0.25)
    for x in range(0, 1920 - 104, 7):
        box = np.array([[x, 500, x + 104, 604]], np.float32)
        assert any(contains(view, box)[0] for view in views)


def test_a_frame_smaller_than_a_tile_is_one_tile() -> None:
    assert tiles(320, 240, (416, 416)) == [(0, 0, 320, 240)]


def covered(views: list[View], width: int, height: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Returns how many of the views cover each pixel."""
    counts = np.zeros((height, width), np.int64)
    for left, top, right, bottom in views:
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        counts[top:bottom, left:right] += 1
    return counts


@pytest.mark.parametrize("size", [(1920, 1080), (3840, 2160), (641, 641), (640, 360), (101, 67)])
def test_the_fewest_tiles_cover_every_pixel(size: tuple[int, int]) -> None:
    views = tiles(*size, (640, 640), overlap=72 / 640)
    assert covered(views, *size).min() >= 1
    assert len(tiles(1920, 1080, (640, 640), overlap=72 / 640)) == 8


@pytest.mark.parametrize("count", [(1, 1), (2, 3), (10, 8)])
@pytest.mark.parametrize("size", [(1920, 1080), (101, 67)])
def test_a_grid_has_the_columns_and_rows_that_were_asked_for(size: tuple[int, int], count: tuple[int, int]) -> None:
    views = grid(*size, count, overlap=0.25)
    assert covered(views, *size).min() >= 1
    assert (len({view[0] for view in views}), len({view[1] for view in views})) == count
    for first, second in pairwise(views[: count[0]]):
        assert first[2] - second[0] >= 0.25 * (first[2] - first[0]) - 2


@pytest.mark.parametrize("most", [1, 2, 4, 9])
@pytest.mark.parametrize("size", [(1024, 768), (768, 1400), (4000, 3000), (320, 240)])
def test_the_largest_grid_keeps_to_its_number_and_to_the_input(size: tuple[int, int], most: int) -> None:
    views = largest_grid(*size, (640, 480), most, 0.125, 2.0)
    assert len(views) <= most
    assert covered([tile.view for tile in views], *size).min() >= 1
    assert all(tile.size[0] <= 640 and tile.size[1] <= 480 for tile in views)
    assert all(tile.scale <= 2 for tile in views)


def test_the_largest_grid_shows_the_frame_as_large_as_possible_with_the_fewest_tiles() -> None:
    views = largest_grid(1024, 768, (640, 640), 4, 0.125, 2.0)
    assert [tile.scale for tile in views] == [pytest.approx(640 / 547)] * 4
    assert {tile.size for tile in views} == {(640, 480)}
    assert len(largest_grid(300, 300, (640, 640), 9, 0.125, 2.0)) == 1, "enlarged no further than asked"


def test_a_view_is_moved_to_even_pixels() -> None:
    assert even((101, 40, 161, 83)) == (100, 40, 161, 83)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((100, 100, 120, 140), (78, 80, 142, 160)),
        ((0, 0, 20, 40), (0, 0, 64, 80)),
        ((980, 580, 1000, 600), (936, 536, 1000, 600)),
        ((-50, 100, -10, 140), (0, 80, 80, 160)),
        ((100, 100, 900, 300), (36, 36, 964, 364)),
    ],
    ids=["with a margin", "moved into the frame", "of the least size", "of what has left", "with the widest margin"],
)
def test_a_view_around_a_box(box: tuple[int, int, int, int], expected: tuple[int, int, int, int]) -> None:
    assert around(box, 1000, 600) == expected


def test_boxes_at_the_edge_of_a_view_are_cut_off_but_not_at_the_edge_of_the_frame() -> None:
    boxes = np.array([[0, 10, 50, 60], [150, 10, 200, 60], [60, 20, 90, 80], [60, 20, 90, 99]], np.float32)
    assert cut_off(boxes, (0, 0, 200, 100), 400, 100).tolist() == [False, True, False, False]


def test_a_union_contains_both() -> None:
    assert union((0, 10, 20, 30), (15, 5, 40, 20)) == (0, 5, 40, 30)


def test_views_that_overlap_much_become_one() -> None:
    views = [(0, 0, 100, 100), (50, 0, 150, 100), (500, 500, 600, 600)]
    assert sorted(united(views, (416, 416))) == [(0, 0, 150, 100), (500, 500, 600, 600)]


def test_views_are_not_united_to_one_that_is_too_large() -> None:
    views = [(0, 0, 300, 300), (200, 0, 500, 300)]
    assert sorted(united(views, (416, 416))) == views


def test_a_view_inside_another_is_part_of_it() -> None:
    assert united([(0, 0, 900, 900), (10, 10, 60, 60)], (416, 416)) == [(0, 0, 900, 900)]
