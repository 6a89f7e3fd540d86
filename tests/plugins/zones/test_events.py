"""Which event ends which, and that a reference names exactly the event that was returned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from sightd.plugins.api import Event, EventRef, Phase
from sightd.plugins.zones.events import FACTS, EventQueue
from sightd.plugins.zones.state import Happening, Kind, Reason
from tests.plugins.zones.scenes import INSIDE, OUTSIDE, Walk, Watched, plan, square, stays, watch
from tests.plugins.zones.test_random_walks import CAMERA, walks

WALL = 1.7e9
BAG = {"objects": ["backpack"], "left_behind_after": "6s"}


def by_frame(found: Watched) -> Iterator[tuple[float, list[Happening]]]:
    """Groups what happened as if each moment had a frame of its own."""
    for one in found.happened:
        yield WALL + one.at, [one]


def events_of(frames: Iterator[tuple[float, list[Happening]]]) -> tuple[EventQueue, list[tuple[float, Event]]]:
    queue, found = EventQueue(), list[tuple[float, Event]]()
    for at, happened in frames:
        queue, events, _ = queue.reported(happened, at)
        found += [(at, event) for event in events]
    return queue, found


def spans(found: Watched) -> list[tuple[str, str, float]]:
    """What lasted: the kinds of its beginning and end, and when it ended."""
    _, events = events_of(by_frame(found))
    return [(one.about.kind, one.kind, round(at - WALL, 2)) for at, one in events if one.about is not None]


@pytest.mark.parametrize("seed", range(6))
def test_all_that_begins_ends_once_and_its_end_names_it(seed: int) -> None:
    found = watch(walks(seed, 9), CAMERA, 12, fps=5)
    found = watch([], CAMERA, 24, fps=5, before=found, begin=12.2)
    queue, events = events_of(by_frame(found))
    open_now: list[EventRef] = []
    for at, one in events:
        assert one.facts.keys() <= set(FACTS[Kind(one.kind)]), "only declared ones"
        if one.phase is Phase.BEGAN:
            open_now.append(EventRef(one.kind, at, one.facts))
        elif one.phase is Phase.ENDED:
            assert one.about is not None
            open_now.remove(one.about)
        else:
            assert one.kind == "line.crossed"
    assert not open_now
    assert not queue.begun
    assert {one.kind for _, one in events if one.phase is Phase.ENDED} >= {"zone.left", "zone.empty"}


def test_a_visit_has_a_beginning_and_an_end() -> None:
    points = [(0, *INSIDE), (5, *INSIDE), (6, *OUTSIDE), (20, *OUTSIDE)]
    found = watch([Walk(points)], square(loiter_after="3s"), until=20)
    left = round(found.of(Kind.LEFT)[0].at, 2)
    assert spans(found) == [
        ("object.loitering", "object.loitering", left),
        ("zone.entered", "zone.left", left),
        ("zone.occupied", "zone.empty", left),
    ]
    [loitering] = found.over(Kind.LOITERING)
    assert (loitering.dwell, loitering.reason) == (found.of(Kind.LEFT)[0].dwell, Reason.OUTSIDE)


def test_the_end_names_the_track_that_the_object_had_when_it_entered() -> None:
    """Track 1 becomes 2, and is then seen again elsewhere: both are inside, each with an event of its own."""
    again = stays((420, 420), 5, 9, track=1)
    found = watch([stays(INSIDE, 0, 3), stays((520, 510), 3.5, 12, track=2), again], square(), until=16)
    _, events = events_of(by_frame(found))
    ends = [(event.facts["track"], event.about) for _, event in events if event.kind == "zone.left"]
    begins = [(at, event.facts) for at, event in events if event.kind == "zone.entered"]
    assert [facts["track"] for _, facts in begins] == [1, 1]
    assert ends == [(track, EventRef("zone.entered", *begins[which])) for track, which in ((1, 1), (2, 0))]


def test_a_crowd_is_over_once_it_was_smaller_for_a_while() -> None:
    crowd = [stays((420, 420), 0, 30), stays((580, 580), 0, 5, track=2)]
    [over] = watch(crowd, square(crowd=2), until=30, lost_after=1).over(Kind.CROWDED)
    assert over.at == pytest.approx(11, abs=0.1)
    assert over.dwell == pytest.approx(5.5, abs=0.1), "from 0.5 s, when the second one entered, to 6 s"
    assert over.number == 1


def test_a_crowd_is_over_at_the_same_time_at_any_frame_rate() -> None:
    crowd = [stays((420, 420), 0, 30), stays((580, 580), 0, 6, track=2)]
    found = watch(crowd, square(crowd=2), until=30, fps=1 / 3, lost_after=1)
    assert [one.at for one in found.over(Kind.CROWDED)] == [found.of(Kind.LEFT)[0].at + 5]


def test_a_crowd_is_over_at_once_if_its_zone_is_removed_and_if_time_runs_backwards() -> None:
    crowd = [stays((420, 420), 0, 30), stays((580, 580), 0, 30, track=2)]
    before = watch(crowd, square(crowd=2), until=5)
    [removed] = watch(crowd, plan(), until=6, before=before, begin=5.5).over(Kind.CROWDED)
    assert (removed.at, removed.reason) == (5.5, Reason.CHANGED)
    assert len(watch([], square(crowd=2), until=6, before=before).over(Kind.CROWDED)) == 1
    thinned = watch(crowd[:1], square(crowd=2), until=9, before=before, begin=5.1)
    assert len(watch([], square(crowd=2), until=1, before=thinned).over(Kind.CROWDED)) == 1


@pytest.mark.parametrize(
    ("options", "walk", "expected"),
    [
        ({"removed_after": "5s"}, [(15, 500, 500), (17, 900, 500), (40, 900, 500)], (Kind.REMOVED, None)),
        ({"removed_after": "5s"}, [(8, 500, 500)], (Kind.REMOVED, None)),
        ({}, [(15, 500, 500), (17, 900, 500), (40, 900, 500)], (Kind.LEFT_BEHIND, Reason.OUTSIDE)),
        ({}, [(15, 500, 500)], (Kind.LEFT_BEHIND, Reason.LOST)),
    ],
)
def test_a_thing_is_left_behind_until_it_is_removed_or_not_there_any_more(
    options: dict[str, Any], walk: Sequence[tuple[float, float, float]], expected: tuple[Kind, Reason | None]
) -> None:
    bag = Walk([(0, 500, 500), *walk], track=9, label="backpack")
    found = watch([bag], square(**BAG, **options), until=40)
    [over] = found.over(Kind.LEFT_BEHIND)
    assert (over.kind, over.reason) == expected
    assert over.ends == found.of(Kind.LEFT_BEHIND)[0].beginning
    assert over.at == pytest.approx(walk[0][0] + (5 if options else 2), abs=3.1 if len(walk) > 1 else 0.11)
    assert len(found.of(Kind.REMOVED)) == len([one for one in (over,) if one.kind is Kind.REMOVED])


def test_a_thing_is_not_left_behind_any_more_in_a_zone_that_is_changed_and_if_time_runs_backwards() -> None:
    bag = stays(INSIDE, 0, 40, track=9, label="backpack")
    before = watch([bag], square(**BAG), until=8)
    changed = watch([bag], square(**BAG, min_dwell="1s"), until=8.5, before=before, begin=8.1)
    assert [one.reason for one in changed.over(Kind.LEFT_BEHIND)] == [Reason.CHANGED]
    assert len(changed.of(Kind.LEFT_BEHIND)) == 2, "the changed zone reports it again"
    backwards = watch([], square(**BAG), until=1, before=before)
    assert [one.reason for one in backwards.over(Kind.LEFT_BEHIND)] == [Reason.LOST]


def entering(number: int) -> list[Happening]:
    return watch([stays(INSIDE, 0, 1, track=track + 1) for track in range(number)], square(min_dwell=0), 0.1).happened


def test_an_event_that_waits_is_named_by_the_frame_that_reported_it() -> None:
    happened = entering(20)
    queue, first, _ = EventQueue().reported(happened, WALL)
    queue, second, _ = queue.reported([], WALL + 1)
    assert (len(first), len(second)) == (16, 5)
    last = happened[-1]
    left = Happening(Kind.LEFT, "square", 2.0, last.subject, 1.0, Reason.LOST, ends=last.beginning)
    _, [event], _ = queue.reported([left], WALL + 2)
    assert event.about == EventRef("zone.entered", WALL + 1, second[-1].facts)


def test_the_end_of_what_was_never_reported_stands_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightd.plugins.zones.events._MOST_WAITING", 2)
    happened = entering(20)
    queue, _, dropped = EventQueue().reported(happened, WALL)
    assert dropped == 3
    queue, _, _ = queue.reported([], WALL + 1)
    last = happened[-1]
    left = Happening(Kind.LEFT, "square", 2.0, last.subject, 1.0, Reason.LOST, ends=last.beginning)
    _, [event], _ = queue.reported([left], WALL + 2)
    assert (event.kind, event.phase, event.about) == ("zone.left", Phase.ONCE, None)
    assert event.facts["seconds"] == 1
