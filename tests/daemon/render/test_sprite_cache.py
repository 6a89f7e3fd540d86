"""Sprites are created once, cached within bounds, and drawn in the right place."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sightd.daemon.render.text import GLASS, SpriteCache, layered, plate, rounded
from sightd.daemon.render.theme import BLACK, WHITE, Layout, contrast
from tests.daemon.render.scenes import changed, grey

RED = (40, 40, 230)


def test_a_label_is_lettered_once() -> None:
    sprites = SpriteCache(Layout.of(1280, 720))
    assert sprites.label("person 0.87", RED) is sprites.label("person 0.87", RED)


def test_the_memory_of_stamps_is_bounded() -> None:
    sprites = SpriteCache(Layout.of(1280, 720), limit=100_000)
    for n in range(300):
        sprites.label(f"person {n}", RED)
        assert sprites.nbytes <= 100_000
    assert 0 < len(sprites) < 30


def test_the_longest_unused_stamp_goes_first() -> None:
    sprites = SpriteCache(Layout.of(640, 360), limit=50_000)
    first = sprites.label("kept", RED)
    for n in range(100):
        sprites.label(f"person {n}", RED)
        assert sprites.label("kept", RED) is first


def test_a_label_wider_than_the_picture_is_cut() -> None:
    assert SpriteCache(Layout.of(200, 100)).label("a class with a very long name indeed " * 3, RED).width <= 200


def test_white_letters_on_glass_are_legible_on_a_white_picture() -> None:
    picture = grey(200, 60, 255)
    plate([("fps", 450, 0.78)], 20, BLACK, GLASS).on(picture, 10, 10)
    ground = tuple(int(v) for v in picture[14, 30])
    letters = tuple(int(v) for v in picture[10:40, 10:60].max(axis=(0, 1)))
    assert contrast((ground[0], ground[1], ground[2]), (letters[0], letters[1], letters[2])) >= 4.5


@given(st.integers(-60, 140), st.integers(-60, 100))
def test_a_stamp_across_the_edge_is_cut_there(x: int, y: int) -> None:
    picture = grey(100, 70)
    layered((np.ones((20, 30), np.float32), WHITE)).on(picture, x, y)
    left, top, right, bottom = max(x, 0), max(y, 0), min(x + 30, 100), min(y + 20, 70)
    expected = (left, top, right, bottom) if left < right and top < bottom else None
    assert changed(grey(100, 70), picture) == expected


def test_half_a_cover_lets_half_of_the_picture_through() -> None:
    picture = grey(10, 10, 100)
    layered((np.full((10, 10), 0.5, np.float32), WHITE)).on(picture, 0, 0)
    assert np.all(np.abs(picture.astype(int) - 178) <= 1)


def test_rounded_corners_are_open_and_soft() -> None:
    cover = rounded(40, 20, 6)
    assert cover[0, 0] == 0
    assert cover[10, 20] == 1
    assert cover[0, 20] == 1
    assert np.any((cover > 0.1) & (cover < 0.9))
    assert np.allclose(cover, cover[::-1, ::-1])
