"""The rules of zones and lines, one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest

from sightd.plugins.zones.state import Direction, Kind, Reason, Sighting
from tests.plugins.zones.scenes import (
    INSIDE,
    OUTSIDE,
    SQUARE,
    UPWARDS,
    Walk,
    Watched,
    plan,
    square,
    stays,
    upwards,
    watch,
)

THROUGH = [(0.0, 200.0, 500.0), (6.0, 800.0, 500.0)]
"""100 px/s from the left to the right: inside the square from 2 to 4 s."""


def inside(watched: Watched, zone: str = "square") -> int:
    return watched.state.zones[zone].inside


def test_an_object_that_walks_through_enters_and_leaves_once() -> None:
    found = watch([Walk(THROUGH)], square())
    assert found.kinds == ["zone.entered", "zone.occupied", "zone.left", "zone.empty"]
    entered, occupied, left, empty = found.happened
    assert entered.at == pytest.approx(2.6, abs=0.11), "at the edge at 2 s, beyond the band at 2.1 s, for min_dwell"
    assert left.dwell == pytest.approx(2.0, abs=0.11)
    assert left.reason is Reason.OUTSIDE
    assert occupied.at == entered.at
    assert empty.dwell == pytest.approx(left.at - entered.at)
    assert inside(found) == 0


@pytest.mark.parametrize(("dwell", "entries"), [(0, 1), (1.0, 1), (1.8, 1), (2.2, 0)])
def test_one_that_is_inside_for_less_than_min_dwell_does_not_enter(dwell: float, entries: int) -> None:
    found = watch([Walk(THROUGH)], square(min_dwell=f"{dwell}s" if dwell else 0))
    assert len(found.of(Kind.ENTERED)) == len(found.of(Kind.LEFT)) == entries


def test_one_that_appears_inside_enters_only_after_min_dwell() -> None:
    found = watch([stays(INSIDE, 1, 9)], square(min_dwell="3s"), until=9)
    assert [one.at for one in found.of(Kind.ENTERED)] == [pytest.approx(4, abs=0.11)]
    assert inside(found) == 1
    assert not watch([stays(INSIDE, 1, 3.5)], square(min_dwell="3s")).happened


def test_one_whose_track_ends_inside_leaves_after_lost_after() -> None:
    found = watch([stays(INSIDE, 0, 3)], square(), lost_after=2)
    [left] = found.of(Kind.LEFT)
    assert left.reason is Reason.LOST
    assert left.at == pytest.approx(5)
    assert left.dwell == pytest.approx(3), "the time in which it was seen"


def test_jitter_at_the_edge_is_one_entry_and_no_exit() -> None:
    random = np.random.default_rng(1)

    def shaken(sighting: Sighting) -> Sighting:
        x, y = sighting.point
        return replace(sighting, point=(x + float(random.uniform(-8, 8)), y + float(random.uniform(-8, 8))))

    found = watch([Walk([(0, 300, 500), (1, 402, 500), (60, 402, 500)], look=shaken)], square(), until=60)
    assert len(found.of(Kind.ENTERED)) <= 1
    assert not found.of(Kind.LEFT)


@pytest.mark.parametrize(("away", "exits"), [(0.8, 0), (1.6, 1)])
def test_one_that_is_outside_for_less_than_leave_after_has_not_left(away: float, exits: int) -> None:
    points = [(0, *INSIDE), (3, *INSIDE), (3.1, *OUTSIDE), (3 + away, *OUTSIDE), (3.1 + away, *INSIDE), (9, *INSIDE)]
    assert len(watch([Walk(points)], square()).of(Kind.LEFT)) == exits


def test_a_zone_smaller_than_the_band_can_be_entered() -> None:
    narrow = plan({"door": {"corners": [[0.4, 0.49], [0.6, 0.49], [0.6, 0.505], [0.4, 0.505]]}})
    assert len(watch([Walk([(0, 500, 400), (1, 500, 497), (4, 500, 497)])], narrow).of(Kind.ENTERED)) == 1


def test_an_object_cut_off_by_the_border_of_the_frame_is_inside_a_zone_that_reaches_it() -> None:
    bottom = plan({"bottom": {"corners": [[0.3, 0.5], [0.7, 0.5], [0.7, 1], [0.3, 1]]}})
    assert len(watch([stays((500, 999.99), 0, 3)], bottom).of(Kind.ENTERED)) == 1


def test_predicted_tracks_move_nothing_and_keep_the_object() -> None:
    def predicted_from_one(sighting: Sighting) -> Sighting:
        return sighting if sighting.age < 1 else replace(sighting, observed=False)

    through = watch([Walk(THROUGH, look=predicted_from_one)], square())
    assert not through.happened, "it was predicted inside, and not seen there"
    resting = watch([stays(INSIDE, 0, 8, look=predicted_from_one)], square(loiter_after="3s"), until=8)
    assert resting.kinds == ["zone.entered", "zone.occupied"], "neither gone nor loitering"
    assert inside(resting) == 1


def test_an_object_behind_an_obstacle_has_gone_straight() -> None:
    def hidden(sighting: Sighting) -> Sighting | None:
        return None if 1.5 < sighting.age < 3.2 else sighting

    found = watch([Walk(THROUGH, look=hidden)], upwards())
    assert [one.direction for one in found.happened] == [Direction.IN]


def test_a_new_track_goes_on_with_the_membership_of_a_lost_one() -> None:
    walks = [stays(INSIDE, 0, 3, track=1), stays((520, 510), 3.5, 9, track=2)]
    found = watch(walks, square(loiter_after="6s"), until=9)
    assert found.kinds == ["zone.entered", "zone.occupied", "object.loitering"]
    [loitering] = found.of(Kind.LOITERING)
    assert loitering.subject is not None
    assert loitering.subject.track == 2
    assert loitering.dwell == pytest.approx(6, abs=0.11)


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (stays((590, 410), 3.5, 9, track=2), "too far away"),
        (stays((500, 500), 3.5, 9, track=2, label="bicycle"), "a person is no bicycle"),
        (stays((520, 510), 2, 9, track=2), "both were seen at the same time"),
        (stays((500, 500), 5.5, 12, track=2), "the first one has left already"),
        (
            stays((520, 510), 2, 9, track=2, look=lambda seen: seen if seen.age > 1.3 else None),
            "its track began when the first one was still seen, and was shown later",
        ),
    ],
)
def test_a_new_track_is_another_object(other: Walk, why: str) -> None:
    found = watch([stays(INSIDE, 0, 3, track=1), other], square(), until=9)
    assert len(found.of(Kind.ENTERED)) == 2, why
    assert inside(found) == 1


@pytest.mark.parametrize(("distance", "entries"), [(20, 1), (60, 2)])
def test_a_new_track_of_another_class_goes_on_if_it_is_at_the_same_place(distance: float, entries: int) -> None:
    walks = [stays((450, 500), 0, 3, label="car"), stays((450 + distance, 500), 3.5, 9, track=2, label="truck")]
    assert len(watch(walks, square(), until=9).of(Kind.ENTERED)) == entries


def test_two_new_tracks_go_on_with_the_nearest_lost_ones() -> None:
    before = [stays((480, 480), 0, 3, track=1, person="Ada"), stays((520, 520), 0, 3, track=2, person="Grace")]
    after = [stays((518, 520), 3.2, 9, track=3), stays((482, 480), 3.2, 9, track=4)]
    found = watch([*before, *after], square(), until=9)
    assert {track: one.person for track, one in found.state.subjects.items()} == {3: "Grace", 4: "Ada"}
    assert len(found.of(Kind.ENTERED)) == 2


def test_a_line_is_crossed_once_though_the_id_switches_at_it() -> None:
    walks = [Walk([(0, 300, 500), (1.9, 490, 500)], track=1), Walk([(2.3, 530, 500), (5, 800, 500)], track=2)]
    found = watch(walks, upwards())
    assert [(one.direction, one.subject and one.subject.track) for one in found.happened] == [(Direction.IN, 2)]


@pytest.mark.parametrize(
    ("points", "directions"),
    [
        ([(0, 200, 500), (6, 800, 500)], ["in"]),
        ([(0, 800, 500), (6, 200, 500)], ["out"]),
        ([(0, 200, 500), (3, 800, 500), (6, 200, 500)], ["in", "out"]),
        ([(0, 200, 50), (6, 800, 50)], []),  # past its end
        ([(0, 200, 500), (3, 505, 500), (6, 200, 500)], []),  # touches it, within the band
        ([(0, 200, 500), (3, 200, 50), (5, 800, 50), (7, 800, 500), (10, 200, 500)], ["out"]),  # around its end
    ],
)
def test_crossings_have_a_direction(points: Sequence[tuple[float, float, float]], directions: list[str]) -> None:
    found = watch([Walk(points)], upwards(), until=12)
    assert [str(one.direction) for one in found.happened] == directions


def test_an_object_that_disappears_beyond_the_line_has_crossed_it() -> None:
    found = watch([Walk([(0, 300, 500), (2.2, 520, 500)])], upwards())
    assert [str(one.direction) for one in found.happened] == ["in"]


def test_an_object_that_stands_on_a_line_does_not_cross_it() -> None:
    random = np.random.default_rng(2)

    def shaken(sighting: Sighting) -> Sighting:
        return replace(sighting, point=(sighting.point[0] + float(random.uniform(-9, 9)), sighting.point[1]))

    assert not watch([stays((500, 500), 0, 60, look=shaken)], upwards(), until=60).happened


def test_a_box_that_jumps_over_a_line_for_a_moment_does_not_cross_it() -> None:
    jump = [(0, 450, 500), (1, 450, 500), (1.04, 540, 500), (1.12, 540, 500), (1.16, 450, 500), (5, 450, 500)]
    assert not watch([Walk(jump)], upwards(), fps=25).happened


def test_classes_that_do_not_count_are_left_out() -> None:
    camera = plan(
        {"square": {"corners": SQUARE, "classes": ["car"]}}, {"upwards": {"points": UPWARDS, "classes": ["car"]}}
    )
    assert not watch([Walk(THROUGH)], camera).happened
    found = watch([Walk(THROUGH, label="car")], camera)
    assert found.numbers["zone.entered", "square", ""] == found.numbers["line.crossed", "upwards", "in"] == 1
    assert found.state.zones["square"].by_class == {"car": 1}


def test_loitering_is_reported_once_per_visit() -> None:
    points = [(0, *INSIDE), (5, *INSIDE), (6, *OUTSIDE), (8, *OUTSIDE), (9, *INSIDE), (15, *INSIDE)]
    found = watch([Walk(points)], square(loiter_after="3s"), until=15)
    assert [round(one.at) for one in found.of(Kind.LOITERING)] == [3, 12]


def test_a_zone_is_occupied_until_the_last_object_has_left() -> None:
    walks = [stays(INSIDE, 0, 4, track=1), stays((420, 420), 2, 7, track=2)]
    found = watch(walks, square(), lost_after=1)
    assert found.kinds == ["zone.entered", "zone.occupied", "zone.entered", "zone.left", "zone.left", "zone.empty"]


def test_what_happens_between_two_frames_is_put_into_the_order_of_time() -> None:
    leaves = Walk([(0, 500, 500), (4, 500, 500), (5, 700, 500), (9, 700, 500)], track=1)
    enters = Walk([(0, 390, 500), (4, 390, 500), (5, 500, 500), (9, 500, 500)], track=2)
    found = watch([leaves, enters], square(min_dwell=0, leave_after=0), until=9, fps=1)
    assert found.kinds == ["zone.entered", "zone.occupied", "zone.entered", "zone.left"], "it is never empty"


def test_a_crowd_is_reported_once_until_it_was_smaller_for_a_while() -> None:
    def crowd(gap: float) -> list[Walk]:
        first = stays((420, 420), 0, 30, track=1)
        return [first, stays((580, 580), 0, 5, track=2), stays((580, 420), 5 + gap, 30, track=3)]

    assert len(watch(crowd(2), square(crowd=2), until=30, lost_after=1).of(Kind.CROWDED)) == 1
    again = watch(crowd(8), square(crowd=2), until=30, lost_after=1).of(Kind.CROWDED)
    assert [one.number for one in again] == [2, 2]


def test_nothing_counts_while_a_zone_is_not_active() -> None:
    camera = plan(
        {"square": {"corners": SQUARE, "active": "12:00-12:01"}},
        {"upwards": {"points": UPWARDS, "active": "13:00-14:00"}},
    )
    noon = datetime(2026, 3, 2, 12)
    found = watch(
        [stays(INSIDE, 0, 80), Walk(THROUGH, track=2)], camera, until=80, local=lambda at: noon + timedelta(seconds=at)
    )
    assert found.numbers["line.crossed", "upwards", "in"] == 0
    left = found.of(Kind.LEFT)[-1]
    assert (left.at, left.reason) == (60, Reason.INACTIVE)
    assert inside(found) == 0
    assert not found.state.zones["square"].active


def test_objects_leave_a_zone_that_is_changed_or_removed_and_counts_go_on() -> None:
    walk = stays(INSIDE, 0, 20)
    first = watch([walk], square(), until=5)
    moved = watch([walk], square(min_dwell="1s"), until=10, before=first, begin=5.1)
    assert moved.kinds == ["zone.entered", "zone.occupied", "zone.left", "zone.empty", "zone.entered", "zone.occupied"]
    assert (moved.state.zones["square"].entered, moved.state.zones["square"].left) == (2, 1)
    removed = watch([walk], plan(), until=15, before=moved, begin=10.1)
    assert [one.reason for one in removed.of(Kind.LEFT)] == [Reason.CHANGED, Reason.CHANGED]
    assert not removed.state.zones


def test_all_objects_are_gone_if_time_runs_backwards() -> None:
    first = watch([stays(INSIDE, 0, 20)], square(), until=5)
    again = watch([stays(INSIDE, 0, 20)], square(), until=2, before=first)
    assert again.kinds == [
        *["zone.entered", "zone.occupied", "zone.left", "zone.empty"],
        "zone.entered",
        "zone.occupied",
    ]


def test_a_person_keeps_the_name_that_was_seen_once() -> None:
    def named(sighting: Sighting) -> Sighting:
        return replace(sighting, person="Ada") if sighting.age == 0 else sighting

    found = watch([stays(INSIDE, 0, 5, look=named)], square())
    assert {one.subject.person for one in found.happened if one.subject} == {"Ada"}


BAG = {"objects": ["backpack"], "left_behind_after": "20s", "removed_after": "5s"}


def bag(*points: tuple[float, float, float], **options: Any) -> Walk:
    return Walk(points, track=9, label="backpack", **options)


def things(found: Watched) -> list[tuple[str, int, int]]:
    return [
        (one.kind.name, round(one.at), round(one.dwell or 0))
        for one in found.happened
        if one.kind in (Kind.LEFT_BEHIND, Kind.REMOVED)
    ]


def test_a_thing_is_left_behind_once_nobody_was_near_it_for_long() -> None:
    owner = Walk([(0, 300, 500), (2, 480, 500), (10, 480, 500), (13, 900, 500), (40, 900, 500)])
    passer = Walk([(20, 100, 900), (25, 480, 900), (30, 900, 900)], track=2)
    found = watch([owner, passer, bag((2, 500, 500), (40, 500, 500))], square(**BAG), until=40)
    assert things(found) == [("LEFT_BEHIND", 32, 30)], "its owner was near it until 11.5 s"
    assert found.state.zones["square"].entered == 2, "owner and bag; the zone counts all classes"


@pytest.mark.parametrize(
    ("walks", "why"),
    [
        ([bag((0, 500, 500), (60, 500, 500)), stays((600, 500), 0, 60)], "its owner waits beside it"),
        ([bag((0, 500, 500), (60, 560, 560))], "it moves all the time"),
        ([bag((0, 200, 500), (60, 200, 500))], "it is outside the zone"),
        ([stays(INSIDE, 0, 60, label="car")], "it is no such thing"),
    ],
)
def test_a_thing_is_not_left_behind(walks: Sequence[Walk], why: str) -> None:
    assert not things(watch(walks, square(objects=["backpack"], left_behind_after="40s"), until=60)), why


def test_a_known_thing_that_is_carried_away_or_disappears_was_removed() -> None:
    carried = bag((0, 500, 500), (15, 500, 500), (17, 900, 500), (40, 900, 500))
    assert things(watch([carried], square(**BAG), until=40)) == [("REMOVED", 20, 15)]
    assert things(watch([bag((0, 500, 500), (15, 500, 500))], square(**BAG), until=40)) == [("REMOVED", 20, 15)]


@pytest.mark.parametrize(
    ("walk", "why"),
    [
        (bag((0, 500, 500), (8, 500, 500)), "it had not rested for long enough to be known"),
        (bag((0, 500, 500), (15, 500, 500), (16, 560, 500), (17, 500, 500), (19, 500, 500)), "it was back in time"),
        (
            bag((0, 500, 500), (19, 500, 500), look=lambda seen: None if 12 < seen.age < 16 else seen),
            "somebody stood before it",
        ),
    ],
)
def test_a_thing_was_not_removed(walk: Walk, why: str) -> None:
    assert not things(watch([walk], square(**BAG), until=19)), why


def test_a_thing_that_gets_a_new_id_is_the_same_thing() -> None:
    again = stays((505, 500), 19, 40, track=10, label="backpack")
    found = watch([bag((0, 500, 500), (15, 500, 500)), again], square(**BAG), until=40)
    assert things(found) == [("LEFT_BEHIND", 20, 20)]
    [one] = found.of(Kind.LEFT_BEHIND)
    assert one.subject is not None
    assert one.subject.track == 10


@pytest.mark.parametrize(
    ("ground", "kmh"),
    [
        ({"scale": {"points": [[0, 0.5], [1, 0.5]], "metres": 20}}, 7.2),
        ({"plane": {"corners": [[0, 0], [1, 0], [1, 1], [0, 1]], "metres": [[0, 0], [20, 0], [20, 5], [0, 5]]}}, 7.2),
        ({}, None),
    ],
)
def test_a_crossing_has_the_speed_on_the_ground(ground: dict[str, Any], kmh: float | None) -> None:
    camera = plan(lines={"upwards": {"points": UPWARDS}}, **ground)
    [crossing] = watch([Walk(THROUGH)], camera).happened
    assert crossing.heading == pytest.approx(90)
    assert crossing.speed == (None if kmh is None else pytest.approx(kmh / 3.6, rel=0.01))
