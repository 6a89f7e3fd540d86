"""What is described on a frame: events of chosen kinds, objects of chosen classes, each once per cool-down."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sightd.plugins.api import Detections, Event, EventRef, Events, Frame, Results, Tracks
from sightd.plugins.describe.config import DescribeConfig
from sightd.plugins.describe.subjects import Cooldown, DescribedSubject, subjects_of

FRAME = Frame.of(np.zeros((100, 200, 3), np.uint8), wall_time=1.7e9)
LABELS = ("person", "car")
BOXES = np.array([[10, 10, 30, 50], [100, 20, 180, 60]], np.float32)


def detections(scores: tuple[float, float] = (0.9, 0.8), classes: tuple[int, int] = (0, 1)) -> Detections:
    return Detections(BOXES, np.array(scores, np.float32), np.array(classes), LABELS)


def tracks(ages: tuple[float, float] = (5, 5), detection: tuple[int, int] = (0, 1)) -> Tracks:
    scores, ids = np.array([0.9, 0.8], np.float32), np.array([7, 8])
    speeds = np.zeros((2, 2), np.float32)
    return Tracks(BOXES, scores, np.array([0, 1]), ids, np.array(ages, np.float32), speeds, np.array(detection), LABELS)


def found(*results: object, **options: Any) -> list[DescribedSubject]:
    config = DescribeConfig.model_validate({"url": "http://127.0.0.1/v1", "events": ["door.opened"], **options})
    return list(subjects_of(FRAME, Results(*results), config))


def test_tracks_of_the_chosen_classes_are_described_whatever_their_case() -> None:
    [subject] = found(detections(), tracks(), classes=["Person"])
    assert subject.key == ("object", "person", 7)
    assert list(subject.box) == [10, 10, 30, 50]
    assert subject.facts == {"class": "person", "track": 7, "score": 0.9}
    assert subject.about is None


@pytest.mark.parametrize(
    ("ages", "detection", "numbers"),
    [((5, 5), (0, 1), [7, 8]), ((0.1, 5), (0, 1), [8]), ((5, 5), (-1, 1), [8])],
    ids=["both", "one is new", "one is predicted"],
)
def test_a_track_is_described_if_it_is_old_enough_and_was_seen_on_this_frame(
    ages: tuple[float, float], detection: tuple[int, int], numbers: list[int]
) -> None:
    assert [one.key[2] for one in found(detections(), tracks(ages, detection), classes=["person", "car"])] == numbers


def test_objects_below_the_minimum_score_are_not_described() -> None:
    assert [one.facts["class"] for one in found(detections(), tracks(), classes=LABELS, min_score=0.85)] == ["person"]
    assert [one.facts["class"] for one in found(detections(), classes=LABELS, min_score=0.85)] == ["person"]


def test_a_carried_object_is_not_described_because_its_box_is_not_exact() -> None:
    one = replace(detections(), carried=np.array([True, False]))
    assert [subject.facts["class"] for subject in found(one, classes=LABELS)] == ["car"]


def test_without_a_tracker_the_most_certain_object_of_a_class_comes_first() -> None:
    first, second = found(detections((0.7, 0.95), (0, 0)))
    assert (first.facts, second.facts["score"]) == ({"class": "person", "score": 0.95}, 0.7)
    assert first.key == second.key == ("object", "person", None)


@pytest.mark.parametrize(
    ("facts", "box", "number"),
    [
        ({}, [0, 0, 200, 100], None),
        ({"track": 8}, [100, 20, 180, 60], 8),
        ({"track": 99}, [0, 0, 200, 100], 99),
        ({"track": 99, "box": [1, 2, 3, 4.5]}, [1, 2, 3, 4.5], 99),
        ({"track": True, "box": [3, 2, 1, 4]}, [0, 0, 200, 100], None),
        ({"track": "8", "box": [1, 2, 3, "4"]}, [0, 0, 200, 100], None),
        ({"box": [1, 2, float("inf"), 4]}, [0, 0, 200, 100], None),
    ],
    ids=["nothing", "track", "unknown track", "box", "no box", "no numbers", "not finite"],
)
def test_an_event_is_described_where_its_facts_say_or_on_the_whole_frame(
    facts: dict[str, Any], box: list[float], number: int | None
) -> None:
    [subject] = found(Events((Event("door.opened", facts), Event("door.shut"))), detections(), tracks(), classes=[])
    assert list(subject.box) == box
    assert subject.key == ("event", "door.opened", number)
    assert subject.facts == {"kind": "door.opened"} | ({} if number is None else {"track": number})
    assert subject.about == EventRef("door.opened", 1.7e9, facts)


def test_a_subject_is_described_again_after_its_cool_down_and_others_do_not_wait() -> None:
    cooldown = Cooldown(60.0)
    first, second = ("object", "person", 1), ("object", "person", 2)
    cooldown.begin(first, 100.0)
    assert [cooldown.is_over(first, at) for at in (100.0, 159.9, 160.0)] == [False, False, True]
    assert cooldown.is_over(second, 100.0)


def test_what_has_cooled_down_is_not_remembered() -> None:
    cooldown = Cooldown(60.0)
    for number in range(1000):
        cooldown.begin(("object", "person", number), float(number))
    assert len(cooldown._begun) == 60
