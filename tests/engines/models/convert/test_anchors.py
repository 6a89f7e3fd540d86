"""Anchor boxes."""

from __future__ import annotations

import numpy as np

from sightd.engines.models.convert.ssd import AnchorGrid, anchors


def shapes(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_anchors_sit_in_the_middle_of_their_cells_row_by_row() -> None:
    boxes = anchors([AnchorGrid(2, 4, shapes(0.5), shapes(1))])
    assert boxes[:, :2].tolist() == [[x, y] for y in (0.25, 0.75) for x in (0.125, 0.375, 0.625, 0.875)]
    assert (boxes[:, 2:] == 0.5).all()


def test_a_scale_is_the_square_root_of_the_area_and_an_aspect_is_width_by_height() -> None:
    [wide, tall] = anchors([AnchorGrid(1, 1, shapes(0.2, 0.2), shapes(4, 0.25))])
    np.testing.assert_allclose(wide[2:], [0.4, 0.1], rtol=1e-6)
    np.testing.assert_allclose(tall[2:], [0.1, 0.4], rtol=1e-6)


def test_grids_follow_each_other_and_the_anchors_of_a_cell_stand_together() -> None:
    boxes = anchors([AnchorGrid(1, 2, shapes(0.1, 0.2), shapes(1, 1)), AnchorGrid(1, 1, shapes(0.9), shapes(1))])
    np.testing.assert_allclose(boxes[:, 2], [0.1, 0.2, 0.1, 0.2, 0.9], rtol=1e-6)
    np.testing.assert_allclose(boxes[:, 0], [0.25, 0.25, 0.75, 0.75, 0.5])
