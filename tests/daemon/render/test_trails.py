"""Trails follow the tracks, fade, and are forgotten."""

import numpy as np
import pytest

from sightd.daemon.render.overlay import MOST_TRACKS, POINTS, Trails
from tests.daemon.render.scenes import canvas_on, changed, grey, tracks

GREEN = (60, 220, 80)


def walked(trails: Trails, seconds: float = 2.0, *, speed: float = 100.0, fps: int = 25, start: float = 0.0) -> None:
    """Moves track 1 to the right along y = 200, at `speed` px/s."""
    for n in range(int(seconds * fps) + 1):
        x = 50 + speed * n / fps
        trails.update(tracks((x - 20, 100, x + 20, 200)), start + n / fps)


def test_a_trail_lies_where_the_track_came_along() -> None:
    trails, image = Trails(2.0), grey()
    walked(trails)
    trails.draw(canvas_on(image), 1, GREEN)
    point = changed(grey(), image)
    assert point is not None
    assert point[0] < 80
    assert point[2] == pytest.approx(250, abs=4)
    assert point[1] >= 195
    assert point[3] <= 206


def test_a_trail_fades_towards_its_old_end() -> None:
    trails, image = Trails(2.0), grey()
    walked(trails)
    trails.draw(canvas_on(image), 1, GREEN)
    strength = np.abs(image.astype(int) - 90).sum(axis=2).max(axis=0)
    assert strength[230:245].mean() > 2 * strength[90:110].mean() > 0


def test_a_trail_reaches_back_no_longer_than_asked() -> None:
    trails, image = Trails(1.0), grey()
    walked(trails)
    trails.draw(canvas_on(image), 1, GREEN)
    point = changed(grey(), image)
    assert point is not None
    assert point[0] >= 140


@pytest.mark.parametrize("fps", [5, 25, 120])
def test_the_places_of_a_trail_are_bounded_at_any_frame_rate(fps: int) -> None:
    trails = Trails(2.0)
    walked(trails, 6.0, fps=fps)
    assert len(trails.points(1)) <= POINTS
    assert trails.points(1)[0][0] <= 4.0 + 2.0 / 3


def test_who_stands_still_leaves_no_scribble() -> None:
    trails = Trails(2.0)
    shake = np.random.default_rng(1).normal(0, 0.4, 200)
    for n, off in enumerate(shake):
        trails.update(tracks((80 + off, 100, 120 + off, 200)), n / 25)
    assert len(trails.points(1)) <= 3


def test_a_track_that_is_gone_is_forgotten_after_its_trail() -> None:
    trails = Trails(2.0)
    walked(trails)
    trails.update(tracks(), 3.9)
    assert len(trails) == 1
    trails.update(tracks(), 4.1)
    assert len(trails) == 0


def test_the_number_of_trails_is_bounded() -> None:
    trails = Trails(1e6)
    for n in range(10):
        many = [(float(i), 10.0, i + 5.0, 20.0) for i in range(100)]
        trails.update(tracks(*many, ids=range(n * 100, n * 100 + 100)), float(n))
    assert len(trails) == MOST_TRACKS
    assert trails.points(999)
    assert not trails.points(0)


def test_a_clock_that_goes_back_starts_over() -> None:
    trails = Trails(2.0)
    walked(trails, start=500.0)
    walked(trails, 0.1)
    assert trails.points(1)[-1][0] < 1


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), 1e12])
def test_a_place_that_cannot_be_drawn_is_left_out(broken: float) -> None:
    trails = Trails(2.0)
    trails.update(tracks((broken, 0, 10, 10)), 0.0)
    assert len(trails) == 0


def test_a_trail_outside_the_picture_harms_nothing() -> None:
    trails, image = Trails(2.0), grey(64, 48)
    for n in range(20):
        trails.update(tracks((-5e5 + n * 1e5, -500, 5e5, 5e5)), n / 25)
    assert len(trails.points(1)) > 2
    trails.draw(canvas_on(image), 1, GREEN)
    trails.draw(canvas_on(image), 77, GREEN)
    assert changed(grey(64, 48), image) is None
