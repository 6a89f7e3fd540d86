"""Changes of the whole picture: what cannot be determined is not guessed."""

from __future__ import annotations

import numpy as np
import pytest

from sightd.plugins.activity.disturbances import shift


@pytest.mark.parametrize("shape", [(1, 160), (160, 1), (1, 1)])
def test_a_grid_of_one_row_or_column_shows_no_movement(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(1)
    cells = random.uniform(0, 255, shape).astype(np.float32)
    assert shift(cells, np.roll(cells, 1)) is None


def test_a_grid_of_several_rows_shows_it() -> None:
    cells = np.random.default_rng(1).uniform(0, 255, (60, 100)).astype(np.float32)
    assert shift(cells, np.roll(cells, 2, axis=1)) == pytest.approx((2, 0), abs=0.2)
