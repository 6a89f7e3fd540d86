"""The standard overlay draws what is enabled, and nothing else."""

from typing import Any

import numpy as np
import pytest

from sightd.daemon.config.model import Render
from sightd.daemon.render.overlay import Overlay
from sightd.daemon.render.text import SpriteCache
from sightd.daemon.render.theme import Layout, colour_of
from sightd.plugins.api import Identities, Image, Results
from tests.daemon.render.scenes import canvas_on, changed, detections, frame, grey, tracks

NOTHING: dict[str, Any] = {
    "boxes": False,
    "labels": False,
    "scores": False,
    "ids": False,
    "trails": False,
    "status": False,
}
BOX = (200.0, 120.0, 400.0, 300.0)


def drawn(results: Results, **options: Any) -> Image:
    image = grey()
    canvas = canvas_on(image)
    Overlay(Render(**options)).draw(canvas, frame(image), results)
    return image


def test_with_everything_off_nothing_is_drawn() -> None:
    assert changed(grey(), drawn(Results(tracks(BOX), detections(BOX)), **NOTHING)) is None


def test_without_results_nothing_is_drawn() -> None:
    assert changed(grey(), drawn(Results())) is None
    assert changed(grey(), drawn(Results(tracks(), detections()))) is None


def test_a_box_has_its_class_colour() -> None:
    image = drawn(Results(detections(BOX, BOX)), **{**NOTHING, "boxes": True})
    assert tuple(image[200, 200]) == colour_of(1)
    assert changed(grey(), image) == (199, 119, 401, 301)


@pytest.mark.parametrize("part", ["labels", "scores", "ids"])
def test_a_label_is_drawn_for_each_part_alone_and_no_box_with_it(part: str) -> None:
    place = changed(grey(), drawn(Results(tracks(BOX)), **{**NOTHING, part: True}))
    assert place is not None
    assert place[3] <= 120


def test_detections_have_no_track_number() -> None:
    assert changed(grey(), drawn(Results(detections(BOX)), **{**NOTHING, "ids": True})) is None


def test_more_parts_make_a_longer_label() -> None:
    def width(**on: bool) -> int:
        place = changed(grey(), drawn(Results(tracks(BOX)), **{**NOTHING, **on}))
        assert place is not None
        return place[2] - place[0]

    assert width(labels=True) < width(labels=True, scores=True) < width(labels=True, scores=True, ids=True)


def test_an_identity_is_drawn_after_the_id_of_its_track() -> None:
    def width(*more: object) -> int:
        place = changed(grey(), drawn(Results(tracks(BOX, ids=[5]), *more), **{**NOTHING, "ids": True}))
        assert place is not None
        return place[2] - place[0]

    def identity(track: int) -> Identities:
        return Identities(np.array([track], np.int64), np.array([3], np.int64), "site")

    assert width(identity(5)) > width() == width(identity(6)), "that of another track is not"


def test_detections_below_the_least_score_are_left_out() -> None:
    weak = detections((10, 100, 60, 200), BOX, scores=[0.39, 0.4])
    assert changed(grey(), drawn(Results(weak), **{**NOTHING, "boxes": True})) == (199, 119, 401, 301)


def test_tracks_are_drawn_in_place_of_detections() -> None:
    both = Results(detections((10, 100, 60, 200)), tracks(BOX))
    assert changed(grey(), drawn(both, **{**NOTHING, "boxes": True})) == (199, 119, 401, 301)


def test_a_predicted_track_looks_like_a_seen_one_so_that_nothing_flickers() -> None:
    seen, predicted = drawn(Results(tracks(BOX))), drawn(Results(tracks(BOX, predicted=True)))
    assert np.array_equal(seen, predicted)


def test_colours_can_tell_tracks_apart() -> None:
    image = drawn(Results(tracks(BOX, ids=[5])), **{**NOTHING, "boxes": True, "colour_by": "track"})
    assert tuple(image[200, 200]) == colour_of(5)


def test_a_class_without_a_name_is_numbered() -> None:
    unnamed = tracks(BOX)
    unnamed.class_ids[:] = 70
    assert changed(grey(), drawn(Results(unnamed), **{**NOTHING, "labels": True})) is not None


def test_trails_are_drawn_only_when_switched_on() -> None:
    for trails in (True, False):
        overlay = Overlay(Render(**{**NOTHING, "trails": trails}))
        sprites = SpriteCache(Layout.of(640, 360))
        for n in range(20):
            image = grey()
            moved = Results(tracks((100.0 + 5 * n, 100, 150.0 + 5 * n, 200)))
            overlay.draw(canvas_on(image, sprites=sprites), frame(image, at=n / 25), moved)
        assert (changed(grey(), image) is not None) == trails


def test_a_trail_of_no_length_is_no_trail() -> None:
    assert changed(grey(), drawn(Results(tracks(BOX)), **{**NOTHING, "trails": True, "trail_length": 0})) is None
