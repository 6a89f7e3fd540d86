"""Redacted regions cannot be recognised, and everything else is unchanged."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightd.daemon.config.model import Render
from sightd.daemon.render.renderer import Renderer, mosaic
from sightd.daemon.render.surface import HostSurface
from sightd.daemon.render.text import SpriteCache
from sightd.daemon.render.theme import Layout
from sightd.plugins.api import BoolArray, Image, PrivacyMask, Results
from tests.daemon.render.scenes import frame

SIZE = (320, 180)


def noise() -> Image:
    return np.random.default_rng(3).integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)


def redact(image: Image, mask: PrivacyMask) -> None:
    mosaic(HostSurface(image, SpriteCache(Layout.of(*SIZE))), mask)


def hidden(*boxes: tuple[float, float, float, float]) -> Image:
    image = noise()
    redact(image, PrivacyMask(np.array(boxes, np.float32).reshape(-1, 4)))
    return image


def test_a_region_keeps_the_mean_colours_of_a_few_tiles() -> None:
    image = hidden((80, 40, 160, 120))
    inside = image[40:120, 80:160]
    assert len(np.unique(inside.reshape(-1, 3), axis=0)) <= 36
    tile = noise()[48:64, 80:96].reshape(-1, 3).mean(axis=0)
    np.testing.assert_allclose(image[50, 85], tile, atol=0.5)


def test_what_lies_outside_is_untouched() -> None:
    image = hidden((81, 41, 159, 119))
    rest = np.ones(image.shape[:2], bool)
    rest[40:120, 80:160] = False
    assert np.array_equal(image[rest], noise()[rest])


def test_nothing_of_the_region_decides_over_more_than_its_tile() -> None:
    """Two images with the same means look the same: nothing can be reconstructed."""
    one, other = noise(), noise()
    other[48:64, 80:96] = other[48:64, 80:96][::-1, ::-1]
    for image in (one, other):
        redact(image, PrivacyMask(np.array([[80, 40, 160, 120]], np.float32)))
    assert np.array_equal(one, other)


def test_the_largest_region_decides_how_coarse_the_tiles_are() -> None:
    alone, beside = hidden((200, 100, 230, 130)), hidden((200, 100, 230, 130), (0, 0, 150, 150))
    tiles = [len(np.unique(image[100:130, 200:230].reshape(-1, 3), axis=0)) for image in (alone, beside)]
    assert tiles[1] < tiles[0] <= 25


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_a_box_that_is_no_box_hides_everything(broken: float) -> None:
    assert len(np.unique(hidden((broken, 10, 50, 60)).reshape(-1, 3), axis=0)) <= 60


@given(st.tuples(*[st.floats(-1e6, 1e6, width=32)] * 4))
def test_any_box_leaves_nothing_of_its_inside(box: tuple[float, float, float, float]) -> None:
    image, before = hidden(box), noise()
    left, top = max(0, int(box[0])), max(0, int(box[1]))
    inside = np.s_[top : max(0, min(SIZE[1], int(box[3]))), left : max(0, min(SIZE[0], int(box[2])))]
    if image[inside].size > 200:
        assert np.mean(image[inside] == before[inside]) < 0.2


def test_the_renderer_hides_before_it_draws_and_in_pixels_of_the_output() -> None:
    found = Results(PrivacyMask(np.array([[160, 80, 320, 240]], np.float32)))
    source = np.random.default_rng(4).integers(0, 256, (360, 640, 3), np.uint8)
    shown = Renderer("a", Render(status=False), 180).render(frame(source), found, fps=None)
    assert len(np.unique(shown.image[40:120, 80:160].reshape(-1, 3), axis=0)) <= 36
    assert len(np.unique(shown.image[:40].reshape(-1, 3), axis=0)) > 1000


def disc(side: int) -> BoolArray:
    down, across = np.mgrid[:side, :side] - (side - 1) / 2
    return np.asarray(np.hypot(down, across) < side / 2, np.bool_)


def by_mask(crop: BoolArray, *box: float) -> Image:
    image = noise()
    redact(image, PrivacyMask(np.array([box], np.float32), (crop,)))
    return image


@pytest.mark.parametrize(
    ("tile", "box"),
    [
        (16, (80, 40, 160, 120)),
        (16, (81.3, 41.7, 159.2, 119.1)),
        (14, (-30, 100, 70, 220)),
        (14, (250, 3, 340, 77)),
    ],
)
def test_tiles_that_a_mask_touches_are_redacted_and_no_others(tile: int, box: tuple[float, ...]) -> None:
    image, before = by_mask(disc(40), *box), noise()
    down, across = np.mgrid[: SIZE[1], : SIZE[0]] + 0.5
    radius = np.hypot((across - box[0]) / (box[2] - box[0]) - 0.5, (down - box[1]) / (box[3] - box[1]) - 0.5)
    seen = set()
    for y in range(0, SIZE[1], tile):
        for x in range(0, SIZE[0], tile):
            here = np.s_[y : y + tile, x : x + tile]
            nearest = radius[here].min()
            if not 0.47 < nearest < 0.53:  # not at the edge of the mask
                is_hidden = len(np.unique(image[here].reshape(-1, 3), axis=0)) == 1
                assert is_hidden == (nearest < 0.5)
                assert is_hidden or np.array_equal(image[here], before[here])
                seen.add(is_hidden)
    assert seen == {True, False}


def test_a_mask_without_cells_redacts_its_box() -> None:
    assert np.array_equal(by_mask(np.zeros((0, 0), np.bool_), 80, 40, 160, 120), hidden((80, 40, 160, 120)))


@pytest.mark.parametrize(("count", "whole"), [(1, False), (40, True)])
def test_masks_of_countless_regions_redact_their_boxes(count: int, whole: bool) -> None:
    """A mask of stripes that are one tile wide has three regions in each of 22 rows."""
    stripes = np.array([[True, False, True, False, True]])
    image = noise()
    redact(image, PrivacyMask(np.array([[80, 0, 120, 180]] * count, np.float32), (stripes,) * count))
    assert np.array_equal(image, hidden((80, 0, 120, 180))) is whole
