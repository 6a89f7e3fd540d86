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
from sightd.plugins.api import Image, PrivacyMask, Results
from tests.daemon.render.scenes import frame

SIZE = (320, 180)


def noise() -> Image:
    return np.random.default_rng(3).integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)


def hidden(*boxes: tuple[float, float, float, float]) -> Image:
    image = noise()
    mosaic(HostSurface(image, SpriteCache(Layout.of(*SIZE))), np.array(boxes, np.float32).reshape(-1, 4))
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
        mosaic(HostSurface(image, SpriteCache(Layout.of(*SIZE))), np.array([[80, 40, 160, 120]], np.float32))
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
