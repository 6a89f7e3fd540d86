"""The activity map in the video."""

from __future__ import annotations

import numpy as np
import pytest

from sightd.plugins.activity.result import Activity, draw_activity
from sightd.plugins.api import Frame
from sightd.plugins.testing.stubs import BlankCanvas


class Output(BlankCanvas):
    """A canvas over a plain grey image."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__(size)
        self.image[:] = 100


@pytest.mark.parametrize("size", [(1920, 1080), (960, 540), (641, 361)])
def test_active_cells_are_tinted_at_the_size_of_the_output(size: tuple[int, int]) -> None:
    cells = np.zeros((90, 160), np.bool_)
    cells[:45, :80] = True
    output = Output(size)
    draw_activity(output, Frame.of(np.zeros((1080, 1920, 3), np.uint8)), Activity(cells, 12, 1, partly=False))
    across, down = size[0] // 2 - 2, size[1] // 2 - 2
    assert (output.image[:down, :across] == (50, 80, 177)).all()
    assert (output.image[down + 4 :] == 100).all()
    assert (output.image[:, across + 4 :] == 100).all()


def test_without_activity_the_image_is_not_touched() -> None:
    output = Output((640, 360))
    draw_activity(
        output, Frame.of(np.zeros((360, 640, 3), np.uint8)), Activity(np.zeros((90, 160), np.bool_), 4, 0, partly=False)
    )
    assert (output.image == 100).all()
