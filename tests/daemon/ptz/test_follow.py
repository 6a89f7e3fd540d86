"""A camera follows an object: by table what it decides, and in a simulation what its view then shows."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from typing import Any

import pytest

from sightd.daemon.config.onvif import Follow
from sightd.daemon.ptz.follow import FollowController, Sight, Steer, Target
from tests.support.moving_view import MovingView

pytestmark = pytest.mark.computing

WIDE = 16 / 9


def follow(**options: Any) -> FollowController:
    return FollowController(Follow.model_validate({"classes": ["person"], "delay": 0, **options}))


def target(x: float, y: float = 0.5, number: int = 1, label: str = "person", size: float = 0.05) -> Target:
    return Target(number, label, x, y, (x, min(1.0, y + 0.1)), size)


def steered(controller: FollowController, *targets: Target, at: float = 10.0) -> Steer:
    controller.seen(Sight(at, targets, WIDE))
    return controller.steer(at)


@pytest.mark.parametrize(
    ("x", "y", "pan", "tilt"),
    [
        (0.5, 0.5, 0, 0),
        (0.59, 0.41, 0, 0),
        (0.9, 0.5, 1, 0),
        (0.1, 0.5, -1, 0),
        (0.5, 0.1, 0, 1),
        (0.5, 0.9, 0, -1),
        (0.9, 0.1, 1, 1),
    ],
)
def test_the_view_moves_towards_an_object_outside_the_dead_zone(x: float, y: float, pan: int, tilt: int) -> None:
    steer = steered(follow(), target(x, y))
    assert [math.copysign(bool(one), one) for one in (steer.pan, steer.tilt)] == [pan, tilt]


def test_it_moves_faster_the_further_the_object_is_and_never_faster_than_allowed() -> None:
    near, far = steered(follow(), target(0.65)).pan, steered(follow(), target(0.75)).pan
    assert 0 < near < far
    assert steered(follow(max_speed=0.2), target(1.0, 0.0)) == Steer(0.2, 0.2)


def test_a_camera_that_turns_faster_is_moved_more_gently() -> None:
    usual, fast = steered(follow(), target(0.8)).pan, steered(follow(full_speed=2.0), target(0.8)).pan
    assert fast == pytest.approx(usual / 2)


@pytest.mark.parametrize(
    ("targets", "chosen"),
    [
        ([target(0.9, number=1), target(0.1, number=2, size=0.2)], 2),
        ([target(0.9, number=1, label="dog", size=0.9)], None),
        ([target(0.9, number=1, label="dog", size=0.9), target(0.5, number=3)], 3),
        ([], None),
    ],
)
def test_the_largest_object_of_the_classes_is_chosen(targets: list[Target], chosen: int | None) -> None:
    controller = follow()
    steered(controller, *targets)
    assert controller.track == chosen


def test_the_chosen_one_is_kept_although_another_grows_larger() -> None:
    controller = follow()
    steered(controller, target(0.6, number=1))
    steered(controller, target(0.62, number=1), target(0.3, number=2, size=0.5), at=10.2)
    assert controller.track == 1


def test_one_that_gets_another_number_where_it_must_be_is_followed_on() -> None:
    controller = follow()
    steered(controller, target(0.55, number=1))
    steered(controller, target(0.56, number=7), target(0.1, number=8, size=0.5), at=10.2)
    assert controller.track == 7


def test_one_that_is_not_seen_stops_the_camera_and_is_given_up() -> None:
    controller = follow()
    assert steered(controller, target(0.9)).pan > 0
    assert steered(controller, at=10.5).pan > 0
    assert steered(controller, at=11.2) == Steer()
    assert controller.track == 1
    steered(controller, at=12.2)
    assert controller.track is None


def test_only_objects_that_stand_in_the_zone_are_chosen_and_then_followed_anywhere() -> None:
    controller = follow(zone=[[0.5, 0], [1, 0], [1, 1], [0.5, 1]])
    steered(controller, target(0.3))
    assert controller.track is None
    steered(controller, target(0.7), at=10.2)
    steered(controller, target(0.45), at=10.4)
    assert controller.track == 1


def test_away_from_home_nobody_knows_where_the_zone_is() -> None:
    controller = follow(zone=[[0.5, 0], [1, 0], [1, 1], [0.5, 1]])
    controller.moved(9.0)
    steered(controller, target(0.7))
    assert controller.track is None


def test_it_returns_home_once_after_nothing_was_followed_for_long_enough() -> None:
    controller = follow(home_after="10s")
    steered(controller, target(0.9))
    homes = [at for at in range(11, 60) if controller.steer(at).home]
    assert homes == [23], "2 s until it is given up, and 10 s"
    assert not controller.is_due


def test_it_never_returns_home_if_it_must_not() -> None:
    controller = follow(home_after=0)
    steered(controller, target(0.9))
    assert not any(controller.steer(at).home for at in range(11, 100))


def test_nothing_is_chosen_on_the_way_home() -> None:
    controller = follow(home_after="1s")
    controller.moved(10.0)
    controller.steer(10.0)
    assert controller.steer(11.0).home
    assert steered(controller, target(0.9), at=11.5) == Steer()
    assert steered(controller, target(0.9), at=14.1).pan > 0


def test_somebody_who_moves_the_camera_makes_it_forget_its_object() -> None:
    controller = follow()
    steered(controller, target(0.9))
    controller.moved(10.1)
    assert controller.track is None
    assert controller.steer(10.1) == Steer()


def test_frames_out_of_order_are_ignored() -> None:
    controller = follow()
    steered(controller, target(0.9), at=10.0)
    controller.seen(Sight(9.0, [target(0.1)], WIDE))
    assert controller.steer(10.0).pan > 0


def test_following_for_long_takes_no_more_memory() -> None:
    controller = follow()
    for step in range(1500):
        at = 0.2 * step
        steered(controller, target(0.5 + 0.3 * math.sin(at)), at=at)
    assert len(controller._commands) < 100


def walk(speed: float, turns_at: float) -> Callable[[float], tuple[float, float]]:
    """Somebody who starts right of the centre, walks on with `speed` picture widths per second, and turns around."""
    return lambda at: (0.3 + speed * (at if at < turns_at else 2 * turns_at - at), 0.1)


def simulated(speed: float, view: MovingView, **options: Any) -> MovingView:
    controller = FollowController(Follow.model_validate({"classes": ["person"], **options}))
    view.run(controller, 14.0, walk(speed, 8.0))
    return view


@pytest.mark.parametrize("speed", [0.0, 0.1, 0.2, 0.3])
def test_an_object_that_stands_or_walks_stays_near_the_centre(speed: float) -> None:
    view = simulated(speed, MovingView())
    assert view.worst(since=4.0) < 0.08 + speed, "it turns around once, and delay and dead zone take their share"
    assert statistics.mean(error for at, error in view.errors if at > 4) < 0.2


@pytest.mark.parametrize("full_speed", [0.5, 2.0])
@pytest.mark.parametrize("speed", [0.0, 0.15])
def test_a_full_speed_that_is_wrong_by_two_does_not_make_it_swing(full_speed: float, speed: float) -> None:
    view = simulated(speed, MovingView(full_speed=full_speed))
    assert view.worst(since=6.0) < 0.25


@pytest.mark.parametrize("delay", [0.1, 0.6])
def test_a_delay_that_is_wrong_by_300_ms_does_not_make_it_swing(delay: float) -> None:
    view = simulated(0.15, MovingView(delay=delay))
    assert view.worst(since=6.0) < 0.35


def test_a_standing_object_lets_the_camera_rest() -> None:
    view = MovingView()
    controller = follow(delay="300ms")
    view.run(controller, 6.0, lambda _: (0.35, 0.2))
    pan = view.pan
    view.run(controller, 4.0, lambda _: (0.35, 0.2))
    assert view.pan == pytest.approx(pan, abs=1e-3)


def test_the_view_returns_home_when_the_object_has_gone() -> None:
    view = MovingView()
    controller = follow(delay="300ms", home_after="3s")
    view.run(controller, 12.0, lambda at: (0.3, 0.0) if at < 4 else None)
    assert len(view.home_at) == 1
    assert view.home_at[0] == pytest.approx(4 + 2.3 + 3, abs=0.7)
    assert (view.pan, view.tilt) == (0, 0)
