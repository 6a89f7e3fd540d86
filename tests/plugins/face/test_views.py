"""Tiles cover the frame and overlap; heads are at the top of people."""

from __future__ import annotations

import numpy as np
import pytest

from sightd.plugins.face.search import head_views, tile_views


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("size", [(1920, 1080), (640, 360), (101, 67)])
def test_tiles_cover_every_pixel(size: tuple[int, int], count: int) -> None:
    covered = np.zeros((size[1], size[0]), int)
    views = tile_views(*size, count)
    for left, top, right, bottom in views:
        assert 0 <= left < right <= size[0]
        assert 0 <= top < bottom <= size[1]
        covered[top:bottom, left:right] += 1
    assert len(views) == (1 if count == 1 else 1 + count * count)
    assert covered.min() >= min(count, 2)


def test_neighbouring_tiles_share_a_strip() -> None:
    first, second = tile_views(1000, 600, 2)[1:3]
    assert first[2] - second[0] >= 0.25 * (first[2] - first[0]) - 2


def test_a_head_is_in_the_upper_part_of_a_person_with_room_around() -> None:
    ((left, top, right, bottom),) = head_views(np.array([[100, 100, 200, 400]], np.float32), 640, 480)
    assert left < 100 < 200 < right
    assert top < 100
    assert 200 < bottom < 260


def test_of_one_who_is_near_the_camera_head_and_shoulders_are_looked_at() -> None:
    """The box is about as wide as high: the face fills most of it."""
    ((left, top, right, bottom),) = head_views(np.array([[100, 50, 400, 330]], np.float32), 640, 480)
    assert left < 100
    assert right > 400
    assert top < 50
    assert bottom >= 330


@pytest.mark.parametrize("box", [(100, 100, 300, 150), (100, 100, 200, 200), (100, 100, 140, 300)])
def test_the_margin_of_each_edge_is_a_share_of_that_side(box: tuple[int, int, int, int]) -> None:
    x1, y1, x2, y2 = box
    ((left, top, right, bottom),) = head_views(np.array([box], np.float32), 640, 480)
    across, down = 0.15 * (x2 - x1), 0.15 * (y2 - y1)
    assert (left, top, right) == (int(x1 - across), int(y1 - down), int(x2 + across))
    assert bottom <= y2 + down, "a wide box is not searched further below than above"
