"""The renderer copies the frame, scales it, and draws on the copy."""

from typing import Any

import numpy as np
import pytest

from sightd.daemon.config.model import Render
from sightd.daemon.render.renderer import Renderer, output_size
from sightd.plugins.api import FrameOverride, Image, Results
from tests.daemon.render.scenes import changed, detections, frame, grey, tracks

PLAIN: dict[str, Any] = {
    "boxes": False,
    "labels": False,
    "scores": False,
    "ids": False,
    "trails": False,
    "status": False,
}


def noise(width: int, height: int) -> Image:
    return np.random.default_rng(5).integers(0, 256, (height, width, 3), np.uint8)


def test_the_shared_frame_is_not_written_into() -> None:
    source = noise(640, 360)
    before = source.copy()
    shown = frame(source)
    Renderer("a", Render()).render(shown, Results(tracks((50, 60, 200, 300))), fps=25.0)
    assert np.array_equal(shown.host(), before)


def test_with_everything_off_the_picture_is_the_source() -> None:
    source = noise(640, 360)
    canvas = Renderer("a", Render(**PLAIN)).render(
        frame(source), Results(tracks((5, 6, 99, 99)), detections((5, 6, 99, 99))), fps=25.0
    )
    assert np.array_equal(canvas.image, source)


def test_everything_on_draws_boxes_and_the_status_line() -> None:
    image = Renderer("a", Render()).render(frame(), Results(tracks((300, 100, 500, 300))), fps=25.0).image
    assert changed(grey()[:40], image[:40]) is not None
    assert changed(grey()[60:], image[60:]) is not None


def test_a_late_picture_says_so_even_without_a_status_line() -> None:
    image = Renderer("a", Render(status=False)).render(frame(), Results(), fps=25.0, late_by=6.7).image
    assert changed(grey()[:40], image[:40]) is not None


def test_the_bottom_of_the_picture_stays_free_where_nothing_is_found() -> None:
    image = Renderer("a", Render()).render(frame(), Results(), fps=25.0).image
    assert changed(grey()[60:], image[60:]) is None


def test_the_image_is_reused_for_the_next_frame() -> None:
    renderer = Renderer("a", Render())
    first = renderer.render(frame(), Results(), fps=None).image
    assert renderer.render(frame(), Results(), fps=None).image is first


def test_a_change_of_the_cameras_size_changes_the_output() -> None:
    renderer = Renderer("a", Render())
    assert renderer.render(frame(grey(640, 360)), Results(), fps=None).image.shape == (360, 640, 3)
    assert renderer.render(frame(grey(320, 180)), Results(), fps=None).image.shape == (180, 320, 3)


@pytest.mark.parametrize(
    ("source", "limit", "output"),
    [
        ((1920, 1080), None, (1920, 1080)),
        ((1920, 1080), 720, (1280, 720)),
        ((640, 360), 720, (640, 360)),
        ((641, 361), None, (640, 360)),
        ((1366, 768), 480, (854, 480)),
        ((704, 576), 65, (78, 64)),
        ((3, 1), None, (2, 2)),
    ],
)
def test_the_output_is_even_and_no_higher_than_asked(
    source: tuple[int, int], limit: int | None, output: tuple[int, int]
) -> None:
    assert output_size(*source, limit) == output
    image = Renderer("a", Render(), limit).render(frame(noise(*source)), Results(), fps=None).image
    assert image.shape[1::-1] == output


def test_boxes_follow_a_picture_that_is_scaled_down() -> None:
    options = Render(**{**PLAIN, "boxes": True})
    canvas = Renderer("a", options, 360).render(frame(grey(1280, 720)), Results(tracks((200, 160, 600, 400))), fps=None)
    assert canvas.scale == 0.5
    assert changed(grey(640, 360), canvas.image) == (99, 79, 301, 201)


def test_a_picture_from_a_plugin_replaces_the_frames_own() -> None:
    shown = Renderer("a", Render(**PLAIN)).render(
        frame(grey(640, 360)), Results(FrameOverride(grey(320, 180, 200))), fps=None
    )
    assert shown.image.shape == (360, 640, 3)
    assert np.all(shown.image == 200)


@pytest.mark.parametrize("size", [(64, 48), (320, 240), (640, 272), (1280, 720), (1080, 1920), (3840, 2160)])
def test_pictures_of_all_sizes_are_drawn(size: tuple[int, int]) -> None:
    width, height = size
    found = tracks((0.2 * width, 0.3 * height, 0.8 * width, 0.9 * height), (-9, -9, 1.5, 1.5), (0, 0, width, height))
    image = Renderer("Haustür 正門", Render()).render(frame(grey(*size)), Results(found), fps=12.3).image
    assert changed(grey(*size), image) is not None


def test_what_a_plugin_draws_afterwards_is_on_the_picture() -> None:
    canvas = Renderer("a", Render(**PLAIN)).render(frame(), Results(), fps=None)
    canvas.text((100, 100), "entrance", (60, 220, 80))
    assert changed(grey(), canvas.image) is not None
