"""Colours are stable and distinct, and text on them is legible."""

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sightd.daemon.render.theme import colour_of, contrast, ink_on

channel = st.integers(0, 255)


def test_a_number_keeps_its_colour_from_run_to_run() -> None:
    assert [colour_of(n) for n in (0, 1, 2, 7)] == [
        (163, 222, 24),
        (253, 144, 191),
        (102, 199, 254),
        (62, 132, 254),
    ]


def test_colours_repeat_after_the_table_and_negative_numbers_have_one() -> None:
    assert colour_of(256) == colour_of(0)
    assert colour_of(-1) == colour_of(255)


def test_the_first_colours_stand_well_apart() -> None:
    apart = [np.linalg.norm(np.subtract(colour_of(a), colour_of(b))) for a, b in combinations(range(10), 2)]
    assert min(apart) > 40


def test_colours_are_bright_enough_for_a_dark_picture() -> None:
    assert min(contrast(colour_of(n), (0, 0, 0)) for n in range(256)) > 6


def test_text_on_every_colour_of_the_palette_is_legible() -> None:
    assert min(contrast(colour_of(n), ink_on(colour_of(n))) for n in range(256)) >= 4.5


@given(st.tuples(channel, channel, channel))
def test_text_on_any_colour_a_plugin_chooses_is_legible(colour: tuple[int, int, int]) -> None:
    assert contrast(colour, ink_on(colour)) >= 4.5


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast((0, 0, 0), (255, 255, 255)) == 21
    assert round(contrast((255, 255, 255), (0x76, 0x76, 0x76)), 2) == 4.54
