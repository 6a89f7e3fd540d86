"""Boxes and texts are drawn in the right place, whatever the input."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sightd.daemon.render.text import SpriteCache
from sightd.daemon.render.theme import Layout
from sightd.plugins.api import Canvas
from tests.daemon.render.scenes import canvas_on, changed, grey

GREEN = (60, 220, 80)
SIZES = [(64, 48), (320, 180), (640, 272), (1280, 720), (720, 1280), (3840, 2160)]


def box(*xyxy: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.array(xyxy, np.float32)


def test_it_is_the_canvas_that_plugins_know() -> None:
    assert isinstance(canvas_on(grey()), Canvas)


def test_a_box_lies_on_its_coordinates_with_its_rim_outside() -> None:
    image = grey(640, 360)
    canvas_on(image).box(box(100, 80, 300, 200), GREEN)
    assert changed(grey(640, 360), image) == (99, 79, 301, 201)
    assert tuple(image[140, 100]) == GREEN
    assert tuple(image[80, 200]) == GREEN
    assert tuple(image[199, 200]) == GREEN
    assert tuple(image[140, 299]) == GREEN
    assert tuple(image[140, 200]) == (90, 90, 90)


def test_source_pixels_are_scaled_to_the_output() -> None:
    image = grey(640, 360)
    canvas_on(image, 0.5).box(box(200, 160, 600, 400), GREEN)
    assert changed(grey(640, 360), image) == (99, 79, 301, 201)


def test_a_line_has_a_dark_rim_and_grows_with_its_width() -> None:
    image, thick = grey(640, 360), grey(640, 360)
    ends = np.array([[200, 100], [200, 300]], np.float32)
    canvas_on(image, 0.5).line(ends, GREEN)
    canvas_on(thick, 0.5).line(ends, GREEN, 1.0, 4.0)
    assert np.abs(image[100, 100].astype(int) - GREEN).max() < 20
    green = [(one[100, :, 1] > 150).sum() for one in (image, thick)]
    assert 0 < green[0] < green[1]
    assert image[100, 97:104].min() < 60
    assert (image[156:] == grey(640, 360)[156:]).all()


@pytest.mark.parametrize("points", [[[1, 1]], [[1, 1], [math.nan, 2]], [[1, 1], [1e9, 2]]])
def test_a_line_without_two_usable_points_draws_nothing(points: list[list[float]]) -> None:
    image = grey(640, 360)
    canvas_on(image).line(np.array(points, np.float32), GREEN)
    assert (image == grey(640, 360)).all()


def test_the_corners_of_a_large_box_are_rounded_and_thicker() -> None:
    image = grey(1280, 720)
    canvas_on(image).box(box(100, 80, 500, 500), GREEN)
    thick = Layout.of(1280, 720).accent
    assert tuple(image[79, 99]) == (90, 90, 90)
    assert tuple(image[80 + thick - 1, 112]) == GREEN
    assert tuple(image[80 + thick - 1, 300]) == (90, 90, 90)


@pytest.mark.parametrize("size", SIZES)
def test_lines_and_letters_grow_with_the_picture(size: tuple[int, int]) -> None:
    small, large = Layout.of(64, 48), Layout.of(*size)
    assert large.font >= small.font
    assert large.line >= small.line
    image = grey(*size)
    canvas_on(image).box(box(size[0] * 0.2, size[1] * 0.4, size[0] * 0.8, size[1] * 0.9), GREEN, "person 0.87")
    assert changed(grey(*size), image) is not None


def test_an_upright_picture_is_drawn_as_one_that_lies() -> None:
    assert Layout.of(720, 1280).font == Layout.of(1280, 720).font


@pytest.mark.parametrize(
    "outside",
    [
        (-50, 10, -10, 50),
        (700, 10, 800, 50),
        (10, -80, 50, -10),
        (10, 400, 50, 500),
        (50, 50, 50, 80),
        (80, 80, 40, 40),
    ],
)
def test_what_is_not_on_the_picture_draws_nothing(outside: tuple[float, ...]) -> None:
    image = grey(640, 360)
    canvas_on(image).box(box(*outside), GREEN, "person")
    assert changed(grey(640, 360), image) is None


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_a_coordinate_that_is_no_number_draws_nothing_and_harms_nothing(broken: float) -> None:
    image = grey(640, 360)
    canvas_on(image).box(box(broken, 10, 50, 60), GREEN, "person")
    canvas_on(image).text((broken, 10), "person", GREEN)
    assert changed(grey(640, 360), image) is None


def test_a_box_larger_than_the_picture_is_shown_along_its_edges() -> None:
    image = grey(640, 360)
    canvas_on(image).box(box(-1e9, -1e9, 1e9, 1e9), GREEN)
    assert tuple(image[180, 1]) == GREEN
    assert tuple(image[180, 638]) == GREEN
    assert tuple(image[1, 320]) == GREEN
    assert tuple(image[358, 320]) == GREEN


RIM = 4
"""Pixels; at least the width of a box's line at these sizes."""


def overlaps(one: tuple[float, ...], other: tuple[float, ...], least: float = 0.0) -> bool:
    """Whether two rectangles overlap by more than `least` pixels in both directions; one with NaN overlaps nothing."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return not any(map(math.isnan, one)) and width > least and height > least


coordinate = st.one_of(st.floats(-300, 900, width=32), st.floats(width=32))


@settings(max_examples=150)
@example(xyxy=(0.0, -math.inf, 1.0, 1.0), size=(64, 48))
@example(xyxy=(-math.inf, -math.inf, math.inf, math.inf), size=(64, 48))
@given(st.tuples(coordinate, coordinate, coordinate, coordinate), st.sampled_from([(64, 48), (320, 180)]))
def test_no_box_can_break_the_canvas(xyxy: tuple[float, ...], size: tuple[int, int]) -> None:
    bare, labelled = grey(*size), grey(*size)
    canvas_on(bare).box(box(*xyxy), GREEN)
    canvas_on(labelled).box(box(*xyxy), GREEN, "person 0.87 #12")
    near = (-RIM, -RIM, size[0] + RIM, size[1] + RIM)
    if not overlaps(xyxy, near):
        assert changed(grey(*size), bare) is None
        assert changed(grey(*size), labelled) is None
    elif overlaps(xyxy, (RIM, RIM, size[0] - RIM, size[1] - RIM), least=RIM):
        place = changed(grey(*size), bare)
        assert place is not None
        assert min(place[0] - xyxy[0], place[1] - xyxy[1], xyxy[2] - place[2], xyxy[3] - place[3]) >= -RIM
        assert changed(bare, labelled) is not None


@given(st.floats(0, 600), st.floats(0, 340), st.floats(2, 200), st.floats(2, 200))
def test_a_label_is_always_whole(x: float, y: float, width: float, height: float) -> None:
    image = grey(640, 360)
    canvas = canvas_on(image)
    canvas.label(box(x, y, x + width, y + height), GREEN, "person 0.87 #12")
    sprite = SpriteCache(Layout.of(640, 360)).label("person 0.87 #12", GREEN)
    place = changed(grey(640, 360), image)
    assert place is not None
    assert (place[2] - place[0], place[3] - place[1]) == (sprite.width, sprite.height)


def test_labels_of_boxes_at_one_place_do_not_cover_each_other() -> None:
    first, both = grey(640, 360), grey(640, 360)
    canvas_on(first).label(box(100, 100, 300, 300), GREEN, "person")
    canvas = canvas_on(both)
    canvas.label(box(100, 100, 300, 300), GREEN, "person")
    canvas.label(box(101, 101, 299, 299), (200, 80, 80), "bicycle")
    label = changed(grey(640, 360), first)
    assert label is not None
    part = np.s_[label[1] : label[3], label[0] : label[2]]
    assert np.array_equal(first[part], both[part])


def test_no_label_lies_on_a_place_that_is_kept_free() -> None:
    image = grey(640, 360)
    canvas = canvas_on(image)
    canvas.keep_free((0, 0, 200, 60))
    canvas.label(box(20, 40, 180, 300), GREEN, "person")
    assert not np.any(image[:60, :200] != 90)


def test_a_text_outside_is_moved_into_the_picture() -> None:
    image = grey(640, 360)
    canvas_on(image).text((630, 355), "entrance · 3", GREEN)
    place = changed(grey(640, 360), image)
    assert place is not None
    assert place[2] == 640
    assert place[3] == 360
