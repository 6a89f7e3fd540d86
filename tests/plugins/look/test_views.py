"""Views of a frame."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightd.plugins.look.views import around, contains, cut_off, joined, tiles, united


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


def test_united_views_contain_both() -> None:
    assert united((0, 10, 20, 30), (15, 5, 40, 20)) == (0, 5, 40, 30)


def test_views_that_overlap_much_become_one() -> None:
    views = [(0, 0, 100, 100), (50, 0, 150, 100), (500, 500, 600, 600)]
    assert sorted(joined(views, (416, 416))) == [(0, 0, 150, 100), (500, 500, 600, 600)]


def test_views_are_not_joined_to_one_that_is_too_large() -> None:
    views = [(0, 0, 300, 300), (200, 0, 500, 300)]
    assert sorted(joined(views, (416, 416))) == views


def test_a_view_inside_another_is_part_of_it() -> None:
    assert joined([(0, 0, 900, 900), (10, 10, 60, 60)], (416, 416)) == [(0, 0, 900, 900)]
