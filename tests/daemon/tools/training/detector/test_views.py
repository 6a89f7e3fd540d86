"""Views of a frame, and its boxes on them."""

from __future__ import annotations

import numpy as np
import pytest

from sightd.daemon.tools.training.detector.views import View, plain_view, random_view
from sightd.engines.model import ColourOrder, InputSpec, Resize
from sightd.engines.preprocess import prepare

SPEC = InputSpec("images", 128, 128, ColourOrder.BGR, Resize.LETTERBOX_TOP_LEFT)
BOX = np.array([[80, 40, 120, 70]], np.float32)
LABEL = np.array([3])


def frame() -> np.ndarray:
    """A black frame with a white box at `BOX`."""
    image = np.zeros((100, 200, 3), np.uint8)
    image[40:70, 80:120] = 255
    return image


def test_the_plain_view_is_the_detectors_own_input() -> None:
    view = plain_view(200, 100, SPEC)
    np.testing.assert_array_equal(view.tensor(frame(), SPEC), prepare([frame()], SPEC)[0])
    boxes, labels = view.boxes(BOX, LABEL, SPEC)
    np.testing.assert_allclose(boxes, BOX * 0.64, atol=1e-4)
    assert labels.tolist() == [3]


@pytest.mark.parametrize("seed", range(6))
def test_boxes_move_with_what_they_surround(seed: int) -> None:
    view = random_view(200, 100, SPEC, np.random.default_rng(seed), mirror=True)
    boxes, labels = view.boxes(BOX, LABEL, SPEC)
    assert labels.tolist() == [3]
    shown = view.tensor(frame(), SPEC)[0].max(0)
    shown[shown == SPEC.pad] = 0
    rows, columns = np.where(shown > 0.5 * shown.max())
    drawn = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    np.testing.assert_allclose(boxes[0], drawn, atol=1.5)


def test_the_same_seed_gives_the_same_view_and_another_one_another() -> None:
    one, same, other = (random_view(200, 100, SPEC, np.random.default_rng(seed), mirror=True) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.matrix, same.matrix)
    assert not np.array_equal(one.matrix, other.matrix)


def test_some_are_mirrored_only_if_that_is_allowed() -> None:
    for mirror in (True, False):
        random = np.random.default_rng(0)
        flips = {random_view(200, 100, SPEC, random, mirror=mirror).matrix[0, 0] < 0 for _ in range(20)}
        assert flips == ({True, False} if mirror else {False})


def test_an_object_of_which_little_is_left_is_no_example() -> None:
    moved = View(np.array([[0.64, 0, -70.0], [0, 0.64, 0]]))
    boxes, labels = moved.boxes(BOX, LABEL, SPEC)
    assert (len(boxes), len(labels)) == (0, 0)
    partly, _ = View(np.array([[0.64, 0, -60.0], [0, 0.64, 0]])).boxes(BOX, LABEL, SPEC)
    np.testing.assert_allclose(partly[0], [0, 25.6, 16.8, 44.8], atol=1e-3)
