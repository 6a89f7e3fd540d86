"""When an object is reported as new and as gone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from sightd.plugins.api import Detections, Event, EventRef, Events, Frame, Phase, Results
from sightd.plugins.configuration.declarations import Declarations
from sightd.plugins.tracker import Tracker, TrackerConfig
from sightd.plugins.tracker.objects import ReportedObjects
from tests.plugins.tracker.test_reidentification import Street
from tests.plugins.tracker.test_tracker import shot
from tests.support.moving_world import SIZE, box, detections, frame

DECLARED = Declarations.of(Tracker)
FACTS = {spec.kind: set(spec.facts or ()) for spec in Tracker.events}


class Watched:
    """A tracker, and all events that it has returned with the wall time of their frames."""

    def __init__(self, **options: object) -> None:
        self.tracker = Tracker(TrackerConfig.model_validate(options))
        self.events: list[tuple[float, Event]] = []

    def look(self, one: Frame, found: Detections) -> tuple[Event, ...]:
        [results] = self.tracker.process([one], [Results(found)])
        events = DECLARED.events(results)
        assert all(event.facts.keys() <= FACTS[event.kind] for event in events), "facts are declared"
        self.events += [(one.wall_time, event) for event in events]
        return events

    def see(self, at: float, boxes: Sequence[Sequence[float]], scores: Sequence[float] | None = None) -> list[str]:
        return [event.kind for event in self.look(frame(0, at), detections(boxes, scores))]

    def check_pairs(self) -> None:
        """Asserts that each end names a beginning that is not over."""
        begun: list[EventRef] = []
        for at, event in self.events:
            if event.phase is Phase.BEGAN:
                begun.append(EventRef(event.kind, at, event.facts))
            else:
                assert event.about is not None
                begun.remove(event.about)


def test_an_object_is_reported_when_it_is_shown_and_when_it_is_gone() -> None:
    one = Watched(max_lost="1s")
    one.see(0.0, [])
    seen = [one.see(0.1 * n, [box(200 + n, 300)], [0.8 - 0.01 * abs(n - 5)]) for n in range(1, 11)]
    assert seen == [[], ["object.new"], *[[]] * 8], "the track is confirmed on the second frame"
    assert [one.see(1.0 + 0.1 * n, []) for n in range(1, 13)].index(["object.gone"]) == 10
    (at, new), (_, gone) = one.events
    assert (new.facts, new.phase) == ({"class": "person", "track": 1, "score": 0.77}, Phase.BEGAN)
    assert gone.facts == {"class": "person", "track": 1, "score": 0.8, "seconds": 0.9}
    assert (gone.phase, gone.about) == (Phase.ENDED, EventRef("object.new", at, new.facts))


def test_both_kinds_are_so_frequent_that_they_are_stored_by_rules_only() -> None:
    assert {spec.kind: spec.by_rule for spec in Tracker.events} == {"object.new": True, "object.gone": True}


def test_an_object_that_is_found_again_by_how_it_looks_is_not_gone_and_not_new() -> None:
    street = Street(remember="8s")
    known = street.tracker._reported["camera"]
    street.show({0: (200, 300)}, 5)
    [new] = street.tracker._reported["camera"].by_id.keys() - known.by_id.keys()
    street.wait(5)
    assert new in street.tracker._reported["camera"].by_id
    street.show({0: (600, 300)}, 3)
    assert street.tracker._reported["camera"].by_id.keys() - known.by_id.keys() == {new}
    street.wait(9)
    assert street.tracker._reported["camera"].by_id.keys() == set(), "remembered no longer"


def test_a_scene_cut_ends_all_objects() -> None:
    one = Watched()
    people, others = (detections([box(60 + 100 * n, y, 40, 90) for n in range(10)]) for y in (200, 500))
    one.look(shot(0.0, 1), people)
    kinds = [event.kind for event in one.look(shot(0.1, 2), others)]
    assert kinds == ["object.gone"] * 10 + ["object.new"] * 6, "16 events per frame, ends first"
    assert [event.kind for event in one.look(shot(0.2, 2), others)] == ["object.new"] * 4
    one.check_pairs()


@pytest.mark.parametrize(("at", "size"), [(-60.0, SIZE), (60.0, SIZE), (0.2, (640, 480))])
def test_a_jump_of_time_and_another_frame_size_end_all_objects(at: float, size: tuple[int, int]) -> None:
    one = Watched()
    one.see(0.1, [box(200, 300)])
    events = one.look(frame(0, at, size=size), detections([]))
    assert [event.kind for event in events] == ["object.gone"]
    one.check_pairs()


def test_a_crowd_is_reported_over_several_frames_and_who_is_gone_meanwhile_is_not() -> None:
    one = Watched(max_lost="100ms", show_lost="100ms")
    crowd = [box(30 + 30 * n, 300, 20, 60) for n in range(40)]
    assert [len(one.see(0.1 * n, crowd)) for n in range(2)] == [16, 16]
    assert [one.see(0.3 + 0.1 * n, []) for n in range(3)] == [["object.gone"] * 16, ["object.gone"] * 16, []]
    one.check_pairs()


def test_whatever_is_detected_each_object_has_one_beginning_and_one_end() -> None:
    random, one = np.random.default_rng(4), Watched()
    for n in range(300):
        places = random.uniform(100, 700, (int(random.integers(0, 30)), 2)) if n % 20 < 15 else np.zeros((0, 2))
        one.see(0.1 * n, [box(x, y) for x, y in places.tolist()])
        assert len(one.events) <= 16 * (n + 1)
    for n in range(60):
        one.see(30 + 0.1 * n, [])
    assert one.tracker._reported["camera"].by_id == {}
    new = [event.facts["track"] for _, event in one.events if event.kind == "object.new"]
    gone = [event.facts["track"] for _, event in one.events if event.kind == "object.gone"]
    assert len(new) > 50
    assert sorted(map(int, map(str, new))) == sorted(map(int, map(str, gone)))
    assert len(set(map(str, new))) == len(new)
    one.check_pairs()


def test_photographs_have_no_events_and_a_forgotten_camera_leaves_nothing() -> None:
    one = Watched()
    still = Frame.of(np.zeros((720, 1280, 3), np.uint8), still=True)
    assert not one.look(still, detections([box(200, 300)]))
    one.see(0.0, [box(200, 300)])
    one.tracker.forget("camera")
    assert one.tracker._reported == {}
    assert ReportedObjects().by_id == {}
    [results] = one.tracker.process([frame(0, 0.1)], [Results()])
    assert Events not in results, "a frame that was not analysed"
