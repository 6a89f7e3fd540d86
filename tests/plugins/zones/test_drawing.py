"""What is drawn: outlines, arrows, numbers and flashes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sightd.daemon.config.model import Render
from sightd.daemon.render.renderer import Renderer
from sightd.plugins.api import Frame, Image, Results
from sightd.plugins.zones.drawing import draw_zones
from sightd.plugins.zones.result import LineCount, ZoneCount, ZoneCounts
from sightd.plugins.zones.state import Direction

SIZE = (640, 360)
ZONE = ZoneCount("door", ((0.1, 0.2), (0.4, 0.2), (0.4, 0.8), (0.1, 0.8)), True, False, 3, 1, {}, {}, (), 0.0)
LINE = LineCount("gate", ((0.7, 0.9), (0.7, 0.1)), True, False, {Direction.IN: 4, Direction.OUT: 2}, {})


def drawn(*zones: ZoneCount, lines: tuple[LineCount, ...] = ()) -> Image:
    frame = Frame.of(np.full((SIZE[1], SIZE[0], 3), 60, np.uint8))
    canvas = Renderer("camera", Render(status=False)).render(frame, Results(), fps=None)
    draw_zones(canvas, frame, ZoneCounts(zones, lines))
    return canvas.image.copy()


def changed(image: Image) -> Image:
    difference: Image = np.abs(image.astype(int) - 60).max(axis=2).astype(np.uint8)[..., None]
    return difference


def test_a_zone_is_outlined_and_not_filled() -> None:
    image = changed(drawn(ZONE))[..., 0]
    for x, y in ((64, 200), (256, 200), (150, 72), (150, 288)):
        assert image[y - 2 : y + 3, x - 2 : x + 3].max() > 50, (x, y)
    assert not image[150:280, 80:250].any()


def test_an_occupied_zone_stands_out_and_a_flash_more() -> None:
    empty = drawn(replace(ZONE, left=3))
    occupied, flashing = drawn(ZONE), drawn(replace(ZONE, flash=True))
    edge = np.s_[200:210, 60:68]
    assert occupied[edge].std() > empty[edge].std()
    assert flashing[edge].min(axis=2).max() > occupied[edge].min(axis=2).max() + 50, "white"


def test_what_is_not_active_is_faint() -> None:
    edge = np.s_[200:210, 60:68]
    resting, active = (drawn(replace(ZONE, left=3, active=one))[edge] for one in (False, True))
    assert changed(resting).max() < changed(active).max()


def test_the_arrow_of_a_line_points_to_the_side_that_is_in() -> None:
    image = changed(drawn(lines=(LINE,)))[150:210, :, 0]
    middle = round(0.7 * SIZE[0])
    assert image[:, middle + 6 : middle + 20].any(), "upwards: its right side is the right of the frame"
    assert not image[:, middle - 20 : middle - 6].any()


def test_numbers_are_beside_the_name() -> None:
    one, other = drawn(ZONE), drawn(replace(ZONE, entered=9))
    assert (one != other).any()
    assert not (one != other)[120:, :].any(), "only the text differs"
