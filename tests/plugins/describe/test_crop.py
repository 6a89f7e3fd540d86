"""The image that is sent shows the object, is small, and shows nothing that must not be recognised."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sightd.plugins.api import Image, PrivacyMask
from sightd.plugins.describe.crop import crop_of, jpeg_of

WHITE: Image = np.full((100, 200, 3), 255, np.uint8)
WHOLE = (0.0, 0.0, 200.0, 100.0)


def hiding(*boxes: tuple[float, float, float, float]) -> PrivacyMask:
    return PrivacyMask(np.array(boxes, np.float32).reshape(-1, 4))


def cut(
    box: tuple[float, float, float, float] = WHOLE,
    margin: float = 0.0,
    max_side: int = 512,
    hidden: PrivacyMask | None = None,
) -> Image:
    found = crop_of(WHITE, box, margin, max_side, hidden)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("margin", "shape"),
    [(0.0, (20, 40, 3)), (0.25, (40, 60, 3)), (2.0, (100, 160, 3))],
    ids=["none", "some", "clipped"],
)
def test_the_object_is_cut_out_with_a_margin_of_its_longer_side(margin: float, shape: tuple[int, ...]) -> None:
    assert cut((40, 40, 80, 60), margin).shape == shape


@pytest.mark.parametrize(("max_side", "shape"), [(512, (100, 200, 3)), (50, (25, 50, 3)), (1, (1, 1, 3))])
def test_neither_side_is_longer_than_allowed_and_nothing_is_enlarged(max_side: int, shape: tuple[int, ...]) -> None:
    assert cut(max_side=max_side).shape == shape


def test_it_is_a_copy_so_that_the_frame_is_not_kept() -> None:
    assert not np.shares_memory(cut(), WHITE)
    assert not np.shares_memory(cut(hidden=hiding()), WHITE)


@pytest.mark.parametrize("box", [(300, 0, 400, 50), (0, 0, 0, 0), (-50, -50, -10, -10)])
def test_there_is_none_outside_the_frame(box: tuple[float, float, float, float]) -> None:
    assert crop_of(WHITE, box, 0.0, 512, None) is None


def test_hidden_regions_are_grey_to_their_last_pixel_and_the_frame_is_not_written_to() -> None:
    crop = cut((50, 0, 150, 100), hidden=hiding((60.6, 10.2, 79.5, 30.0), (140, 90, 500, 500), (0, 0, 20, 20)))
    expected = np.full((100, 100, 3), 255, np.uint8)
    expected[10:30, 10:30] = expected[90:, 90:] = 128
    np.testing.assert_array_equal(crop, expected)
    assert (WHITE == 255).all()


def test_regions_are_hidden_before_the_image_is_scaled() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (100, 200, 3), dtype=np.uint8)
    crop = crop_of(noise, WHOLE, 0.0, 50, hiding((0, 0, 100, 100)))
    assert crop is not None
    assert (crop[:, :25] == 128).all()


@pytest.mark.parametrize(
    "hidden",
    [hiding(WHOLE), hiding((0, 0, 190, 100)), hiding((np.nan, 0, 1, 1)), hiding((0, 0, np.inf, 1))],
    ids=["all", "nearly all", "not a number", "infinite"],
)
def test_there_is_none_if_privacy_leaves_nothing_to_see_or_is_unclear(hidden: PrivacyMask) -> None:
    assert crop_of(WHITE, WHOLE, 0.0, 512, hidden) is None


def test_a_jpeg_has_no_metadata_and_is_smaller_with_less_quality() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    fine, coarse = jpeg_of(image, 95), jpeg_of(image, 30)
    assert len(coarse) < len(fine)
    assert b"Exif" not in fine
    assert np.asarray(cv2.imdecode(np.frombuffer(fine, np.uint8), cv2.IMREAD_COLOR)).shape == (64, 64, 3)
