"""Crops share sheets without overlapping, earlier ones first; tiles cover the frame."""

from __future__ import annotations

import numpy as np
import pytest

from sightd.plugins.geometry.packing import Crop, Placed, View, grid_of, packed, tiles_of


def crop(width: int, height: int, scale: float = 1.0) -> Crop:
    return Crop((10, 20, 10 + width, 20 + height), scale)


def area_of(one: Placed) -> tuple[slice, slice]:
    width, height = one.crop.size
    return slice(one.top, one.top + height), slice(one.left, one.left + width)


def test_crops_share_a_sheet_and_never_overlap() -> None:
    random = np.random.default_rng(0)
    crops = [crop(*random.integers(20, 200, 2).tolist()) for _ in range(30)]
    sheets, kept = packed(crops, 640, 9)
    assert sorted(kept) == list(range(30))
    assert len(sheets) < 6
    for sheet in sheets:
        used = np.zeros((640, 640), int)
        for one in sheet:
            used[area_of(one)] += 1
            assert used[area_of(one)].size == one.crop.size[0] * one.crop.size[1], "within the sheet"
        assert used.max() == 1


def test_an_enlarged_crop_takes_its_enlarged_size() -> None:
    ((one,),), _ = packed([crop(50, 40, 2.0)], 640, 1)
    assert one.crop.size == (100, 80)
    assert packed([crop(400, 40, 2.0)], 640, 1) == ([], []), "larger than a sheet"


def test_if_not_all_fit_earlier_crops_are_served_first() -> None:
    sheets, kept = packed([crop(400, 400), crop(400, 400), crop(200, 200)], 640, 1)
    assert (len(sheets), kept) == (1, [0, 2])
    assert packed([crop(40, 40)], 640, 0) == ([], [])
    assert packed([], 640, 3)[1] == []


def covered(views: list[View], width: int, height: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    counts = np.zeros((height, width), np.int64)
    for left, top, right, bottom in views:
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        counts[top:bottom, left:right] += 1
    return counts


@pytest.mark.parametrize("size", [(1920, 1080), (3840, 2160), (641, 641), (640, 360), (101, 67)])
def test_tiles_of_a_fixed_size_cover_every_pixel(size: tuple[int, int]) -> None:
    tiles = tiles_of(*size, 640, 72)
    assert covered(tiles, *size).min() >= 1
    assert all(right - left <= 640 and bottom - top <= 640 for left, top, right, bottom in tiles)
    assert len(tiles_of(1920, 1080, 640, 72)) == 8


@pytest.mark.parametrize("most", [1, 2, 4, 9])
@pytest.mark.parametrize("size", [(1024, 768), (768, 1400), (4000, 3000), (320, 240)])
def test_a_grid_keeps_to_its_number_and_to_the_input(size: tuple[int, int], most: int) -> None:
    grid = grid_of(*size, 640, most, 0.125, 2.0)
    assert len(grid) <= most
    assert covered([tile.view for tile in grid], *size).min() >= 1
    assert max(max(tile.size) for tile in grid) <= 640
    assert all(tile.scale <= 2 for tile in grid)


def test_a_grid_shows_the_frame_as_large_as_possible_with_the_fewest_tiles() -> None:
    assert [tile.scale for tile in grid_of(1024, 768, 640, 4, 0.125, 2.0)] == [pytest.approx(640 / 576)] * 4
    assert len(grid_of(300, 300, 640, 9, 0.125, 2.0)) == 1, "enlarged no further than asked"
