"""What the image says about the camera: still, moved, or another scene."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sightd.plugins.activity.scene import Transform, View, change, is_cut, is_other_scene, view_of
from sightd.plugins.api import FloatArray, Frame, Image, LumaPlane
from tests.support import media

NOTHING = np.zeros((0, 4), np.float32)


def view(image: Image) -> View:
    found = view_of(Frame.of(image))
    assert found is not None
    return found


def thumb(image: Image) -> FloatArray:
    return view(image).thumb


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
    found = change(view(noisy(before, 2)), view(noisy(after, 3)), NOTHING)
    assert not found.cut
    assert found.motion is not None
    points = np.array([[0.2, 0.2], [0.8, 0.3], [0.5, 0.8]]) * size
    where, should = (points @ one[:, :2].T + one[:, 2] for one in (found.motion, expected))
    np.testing.assert_allclose(where, should, atol=0.005 * size[0])


def test_a_camera_that_stands_has_no_motion_whatever_moves_before_it() -> None:
    before = picture(1)
    after = before.copy()
    after[200:600, 300:700] = picture(2)[200:600, 300:700]
    found = change(view(noisy(before, 2)), view(noisy(after, 3)), NOTHING)
    assert (found.cut, found.motion) == (False, None)


def test_objects_do_not_count_as_the_camera() -> None:
    """Three large objects move together to the right, before a camera that moves to the left."""
    before = picture(1)
    after, expected = taken(before, 0, 1, (-40, 0))
    boxes = np.array([[100, 100, 400, 600], [450, 150, 750, 650], [800, 100, 1100, 600]], np.float32)
    for x1, y1, x2, y2 in boxes.astype(int):
        after[y1:y2, x1 + 30 : x2 + 30] = before[y1:y2, x1:x2]
    found = change(view(before), view(after), boxes)
    assert found.motion is not None
    np.testing.assert_allclose(found.motion, expected, atol=2)


def test_another_scene_is_a_cut() -> None:
    found = change(view(picture(1)), view(picture(2)), NOTHING)
    assert (found.cut, found.motion) == (True, None)
    assert is_other_scene(thumb(picture(1)), thumb(picture(2)))


def test_the_same_scene_in_another_light_is_no_cut() -> None:
    before = picture(1)
    after = np.clip(before * 0.5 + 60, 0, 255).astype(np.uint8)
    found = change(view(before), view(after), NOTHING)
    assert not found.cut
    assert not is_other_scene(thumb(before), thumb(after))


def test_an_image_without_structure_is_no_cut() -> None:
    black = np.zeros((720, 1280, 3), np.uint8)
    assert not change(view(picture(1)), view(black), NOTHING).cut
    assert not is_other_scene(thumb(black), thumb(picture(1)))
    assert not thumb(black).any()


def test_a_fast_pan_is_no_cut_and_another_scene_is_one() -> None:
    before = picture(1)
    after, _ = taken(before, 0, 1, (150, 60))
    assert is_other_scene(thumb(before), thumb(after))
    assert not is_cut(view(before), view(after))
    assert is_cut(view(before), view(picture(2)))
    assert not is_cut(None, view(before))


def test_the_cuts_of_a_film_are_found_however_late_the_next_frame_is_analysed() -> None:
    """The frames are up to 14 apart, as with two analysed frames per second. The film is played in a loop."""
    film = cv2.VideoCapture(str(media.path("bikes.mp4")))
    views = [view(np.asarray(image, np.uint8)) for found, image in iter(film.read, (False, None)) if found]
    for cut in (30, 76, 137, 187, 242, 250):
        for before in range(cut - 8, cut):
            for after in range(cut, before + 14, 4):
                assert change(views[before], views[after % len(views)], NOTHING).cut, (before, after)
    for first, end in ((0, 30), (30, 76), (76, 137), (137, 187), (187, 242)):
        for before in range(first, end - 3, 3):
            assert not change(views[before], views[before + 3], NOTHING).cut, before


def test_the_thumb_of_a_decoders_luma_is_that_of_the_image_and_decodes_nothing() -> None:
    image = picture(1)
    luma = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)

    def decode() -> Image:
        raise AssertionError("the image was decoded")

    plane = LumaPlane(lambda: luma, (0.114, 0.587, 0.299, 0.0))
    coded = Frame("door", 0, (1280, 720), decode, captured_at=0.0, wall_time=0.0, luma=plane).thumb()
    assert coded is not None
    np.testing.assert_allclose(coded, thumb(image), atol=1e-3)


def test_a_frame_on_a_gpu_has_no_thumb_and_is_no_other_scene() -> None:
    frame = Frame("door", 0, (1280, 720), lambda: picture(1), captured_at=0.0, wall_time=0.0, on_device=object())  # type: ignore[arg-type]
    assert frame.thumb() is None
    assert view_of(frame) is None
    assert not is_other_scene(thumb(picture(2)), frame.thumb())
