"""Masks and keypoints of objects that were found in parts of a frame are where the objects are.

The model is replaced by one that finds plain red ellipses exactly, with their mask and their middle, if they are at
least twelve pixels high in the image that it is given.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from sightd.plugins.activity.config import GateOptions
from sightd.plugins.api import BoolArray, Detections, Frame, Image, Keypoints, Masks
from sightd.plugins.detector.looking import LookingDetector
from sightd.plugins.detector.shaped import Shaped, resampled
from sightd.plugins.look.config import LookOptions
from sightd.plugins.look.merging import Suppression
from sightd.plugins.look.sheets import ImageSource

WIDTH, HEIGHT = 960, 540
INPUT = (208, 208)
Ellipse = tuple[int, int, int, int]
"""Centre x, y and half axes."""
SMALL: Ellipse = (607, 265, 9, 22)
LARGE: Ellipse = (175, 250, 75, 200)
WIDE: Ellipse = (480, 480, 190, 25)
"""Reaches over several tiles, and is too low to be found in the whole frame."""


class RedEllipses:
    """Finds red areas in images of any size, as a model with an input of 208 x 208 px does."""

    def shaped(self, images: Sequence[ImageSource]) -> list[Shaped]:
        return [self._in(image.host()) for image in images]

    def _in(self, image: Image) -> Shaped:
        height, width = image.shape[:2]
        scale = min(INPUT[0] / width, INPUT[1] / height, 1.0)
        red = (image[..., 2].astype(int) - image[..., 0] > 100).astype(np.uint8)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(red)
        boxes, crops = [], []
        for number, (x, y, w, h) in enumerate(stats[1:, :4].tolist(), 1):
            if h * scale >= 12:
                part = (labels[y : y + h, x : x + w] == number).astype(np.uint8)
                size = min(w, 160), min(h, 160)
                crops.append(np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA) > 0, np.bool_))
                boxes.append((x, y, x + w, y + h))
        corners = np.array(boxes, np.float32).reshape(-1, 4)
        count = len(corners)
        found = Detections(corners, np.full(count, 0.6, np.float32), np.zeros(count, np.int64), ("ellipse",))
        middles = ((corners[:, None, :2] + corners[:, None, 2:]) / 2).astype(np.float32)
        points = Keypoints(middles, np.full((count, 1), 0.9, np.float32), ("middle",))
        return Shaped(found, Masks(corners, tuple(crops), (width, height)), points)


def picture(*ellipses: Ellipse) -> Image:
    image = np.full((HEIGHT, WIDTH, 3), 110, np.uint8)
    for x, y, across, down in ellipses:
        cv2.ellipse(image, (x, y), (across, down), 0, 0, 360, (20, 20, 230), cv2.FILLED)
    return image


def looking(look: str, gate: str = "off") -> LookingDetector:
    options = LookOptions.model_validate({"mode": look})
    gated = GateOptions.model_validate({"mode": gate})
    once = Suppression(0.5, agnostic=False)
    return LookingDetector(RedEllipses(), ("ellipse",), INPUT, once, options, gated, lambda found, width, height: found)


def seen(detector: LookingDetector, number: int, *ellipses: Ellipse) -> Shaped:
    ((found, _),) = detector.find([Frame.of(picture(*ellipses), seq=number, captured_at=50 + number / 5)])
    return found


def agreement(found: Shaped, ellipse: Ellipse) -> float:
    """Returns the IoU of the ellipse with the mask that agrees best with it."""
    truth = picture(ellipse)[..., 2] > 200
    assert found.masks is not None
    best = 0.0
    for row in range(len(found)):
        drawn, mask = found.masks.drawn(row), np.zeros((HEIGHT, WIDTH), np.bool_)
        if drawn is not None:
            height, width = drawn.inside.shape
            mask[drawn.top : drawn.top + height, drawn.left : drawn.left + width] = drawn.inside
        best = max(best, float((truth & mask).sum() / (truth | mask).sum()))
    return best


@pytest.mark.parametrize("look", ["tiles", "regions"])
def test_masks_are_where_the_objects_are(look: str) -> None:
    detector = looking(look)
    for number in range(30):
        found = seen(detector, number, SMALL, LARGE)
    assert len(found) == 2
    assert agreement(found, SMALL) > 0.85
    assert agreement(found, LARGE) > 0.9
    assert found.keypoints is not None
    middles = sorted(found.keypoints.points[:, 0].tolist())
    np.testing.assert_allclose(middles, [LARGE[:2], SMALL[:2]], atol=2)


def test_the_parts_of_an_object_over_several_tiles_are_joined() -> None:
    found = seen(looking("tiles"), 0, WIDE)
    assert len(found) == 1
    assert agreement(found, WIDE) > 0.85


def test_an_object_that_is_not_looked_at_keeps_its_mask() -> None:
    detector = looking("regions", "activity")
    for number in range(40):
        found = seen(detector, number, SMALL, LARGE)
        if number > 25:
            assert agreement(found, SMALL) > 0.8
            assert agreement(found, LARGE) > 0.85
            assert found.keypoints is not None
            assert (found.keypoints.scores > 0.8).all()


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ((0, 0, 4, 2), [[1, 1, 0, 0], [0, 0, 1, 1]]),
        ((2, 0, 4, 2), [[0, 0], [1, 1]]),
        ((2, 0, 6, 2), [[0, 0, 0, 0], [1, 1, 0, 0]]),
        ((-2, 1, 2, 3), [[0, 0, 0, 0], [0, 0, 0, 0]]),
    ],
)
def test_a_mask_over_another_box_has_what_is_in_both(target: tuple[float, ...], expected: list[list[int]]) -> None:
    crop: BoolArray = np.array([[1, 1, 0, 0], [0, 0, 1, 1]], np.bool_)
    found = resampled(crop, np.array([0.0, 0, 4, 2]), np.array(target, np.float64), 160)
    assert found.astype(int).tolist() == expected


def test_a_mask_over_a_larger_box_has_no_more_cells_than_allowed() -> None:
    found = resampled(np.ones((100, 100), np.bool_), np.array([0.0, 0, 10, 10]), np.array([0.0, 0, 100, 100]), 160)
    assert found.shape == (160, 160)
    assert found.sum() == 16 * 16
