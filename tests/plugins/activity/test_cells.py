"""The grid of cells of a frame."""

from __future__ import annotations

import numpy as np
import pytest

from sightd.plugins.activity.cells import CellGrid
from sightd.plugins.api import Frame

GRID = CellGrid(1920, 1080)


def frame(width: int, height: int) -> Frame:
    image = np.zeros((height, width, 3), np.uint8)
    image[:, width // 2 :] = 200
    return Frame.of(image)


def test_cells_are_twelve_pixels_at_1080p() -> None:
    assert (GRID.cell, GRID.shape) == (12, (90, 160))


@pytest.mark.parametrize("size", [(1920, 1080), (640, 360), (1281, 723), (16, 9), (3, 2), (1, 1)])
def test_a_cell_holds_the_mean_luma_of_its_pixels(size: tuple[int, int]) -> None:
    grid = CellGrid(*size)
    cells = grid.of(frame(*size))
    assert cells.shape == grid.shape
    assert cells.dtype == np.float32
    if size[0] > 100:
        assert cells[:, 0] == pytest.approx(0)
        assert cells[:, -1] == pytest.approx(200)


def test_a_box_covers_all_cells_that_it_touches() -> None:
    covered = GRID.covered(np.array([[24, 36, 49, 48]], np.float32))
    assert np.argwhere(covered).tolist() == [[3, 2], [3, 3], [3, 4]]


def test_boxes_beyond_the_frame_cover_nothing_outside() -> None:
    boxes = np.array([[-100, -100, -5, -5], [-50, 0, 12, 12], [1900, 1070, 2500, 1500]], np.float32)
    assert np.argwhere(GRID.covered(boxes)).tolist() == [[0, 0], [89, 158], [89, 159]]


def test_cells_in_a_polygon_are_masked() -> None:
    outside = GRID.outside([[(0, 0), (0.5, 0), (0.5, 1), (0, 1)]])
    assert not outside[:, :80].any()
    assert outside[:, 80:].all()


def test_groups_are_the_boxes_around_cells_that_are_near_each_other() -> None:
    cells = np.zeros(GRID.shape, np.bool_)
    cells[0, 0] = cells[2, 2] = True
    cells[50:52, 100:110] = True
    cells[89, 159] = True
    assert sorted(GRID.groups(cells).tolist()) == [
        [0, 0, 36, 36], [1200, 600, 1320, 624], [1908, 1068, 1920, 1080]
    ]  # fmt: skip


def test_without_active_cells_there_are_no_groups() -> None:
    assert GRID.groups(np.zeros(GRID.shape, np.bool_)).shape == (0, 4)
