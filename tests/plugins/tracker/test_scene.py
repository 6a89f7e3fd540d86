"""What the image says about the camera: still, moved, or another scene."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sightd.plugins.api import Image
from sightd.plugins.tracker.scene import Transform, change, is_other_scene, thumb_of, view_of

NOTHING = np.zeros((0, 4), np.float32)


def picture(seed: int, size: tuple[int, int] = (1280, 720)) -> Image:
    """Returns a picture of many grey patches, of another scene for each seed."""
    random = np.random.default_rng(seed)
    small = random.integers(30, 226, (18, 32, 3), np.uint8)
    patches = cv2.resize(small, size, interpolation=cv2.INTER_NEAREST)
    return np.asarray(cv2.GaussianBlur(patches, (0, 0), 2), np.uint8)


def taken(image: Image, turn: float, zoom: float, shift: tuple[float, float]) -> tuple[Image, Transform]:
    """Returns the image after the camera moved, and the transform of its points."""
    height, width = image.shape[:2]
    transform = np.asarray(cv2.getRotationMatrix2D((width / 2, height / 2), turn, zoom), np.float64)
    transform[:, 2] += np.array(shift)
    moved = cv2.warpAffine(image, transform, (width, height), borderMode=cv2.BORDER_REFLECT)
    return np.asarray(moved, np.uint8), transform


def noisy(image: Image, seed: int, deviation: float = 4) -> Image:
    noise = np.random.default_rng(seed).normal(0, deviation, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", [(320, 240), (1280, 720), (1920, 1080)])
@pytest.mark.parametrize(
    ("turn", "zoom", "share"), [(0, 1, (0.06, 0.02)), (0, 1, (-0.1, 0.05)), (2, 1, (0.01, 0)), (0, 1.03, (0, 0))]
)
def test_a_camera_that_moves_is_followed_to_half_a_hundredth_of_the_width(
    size: tuple[int, int], turn: float, zoom: float, share: tuple[float, float]
) -> None:
    before = picture(1, size)
    after, expected = taken(before, turn, zoom, (share[0] * size[0], share[1] * size[0]))
    found = change(view_of(noisy(before, 2)), view_of(noisy(after, 3)), NOTHING)
    assert not found.cut
    assert found.motion is not None
    points = np.array([[0.2, 0.2], [0.8, 0.3], [0.5, 0.8]]) * size
    where, should = (points @ one[:, :2].T + one[:, 2] for one in (found.motion, expected))
    np.testing.assert_allclose(where, should, atol=0.005 * size[0])


def test_a_camera_that_stands_has_no_motion_whatever_moves_before_it() -> None:
    before = picture(1)
    after = before.copy()
    after[200:600, 300:700] = picture(2)[200:600, 300:700]
    found = change(view_of(noisy(before, 2)), view_of(noisy(after, 3)), NOTHING)
    assert (found.cut, found.motion) == (False, None)


def test_objects_do_not_count_as_the_camera() -> None:
    """Three large objects move together to the right, before a camera that moves to the left."""
    before = picture(1)
    after, expected = taken(before, 0, 1, (-40, 0))
    boxes = np.array([[100, 100, 400, 600], [450, 150, 750, 650], [800, 100, 1100, 600]], np.float32)
    for x1, y1, x2, y2 in boxes.astype(int):
        after[y1:y2, x1 + 30 : x2 + 30] = before[y1:y2, x1:x2]
    found = change(view_of(before), view_of(after), boxes)
    assert found.motion is not None
    np.testing.assert_allclose(found.motion, expected, atol=2)


def test_another_scene_is_a_cut() -> None:
    found = change(view_of(picture(1)), view_of(picture(2)), NOTHING)
    assert (found.cut, found.motion) == (True, None)
    assert is_other_scene(view_of(picture(1)), picture(2))


def test_the_same_scene_in_another_light_is_no_cut() -> None:
    before = picture(1)
    after = np.clip(before * 0.5 + 60, 0, 255).astype(np.uint8)
    found = change(view_of(before), view_of(after), NOTHING)
    assert not found.cut
    assert not is_other_scene(view_of(before), after)


def test_an_image_without_structure_is_no_cut() -> None:
    black = np.zeros((720, 1280, 3), np.uint8)
    assert not change(view_of(picture(1)), view_of(black), NOTHING).cut
    assert not is_other_scene(view_of(black), picture(1))
    assert not thumb_of(black).any()
