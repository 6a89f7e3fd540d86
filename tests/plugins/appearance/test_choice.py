"""Which objects of a frame are embedded."""

from __future__ import annotations

import numpy as np
import pytest

from sightd.plugins.api import BoolArray, Detections
from sightd.plugins.appearance.choice import LookedAt, after, chosen, covers, last_looks

NEVER = -np.inf


def found(*boxes: tuple[float, float, float, float]) -> Detections:
    corners = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(corners, np.ones(len(corners), np.float32), np.zeros(len(corners), np.int64), ("person",))


@pytest.mark.parametrize(
    ("last", "wanted", "budget", "rows"),
    [
        ([NEVER, NEVER, NEVER], [1, 1, 1], 2, [0, 1]),
        ([9.0, NEVER, 8.0], [1, 1, 1], 1, [1]),
        ([9.0, 8.5, 8.0], [1, 1, 1], 2, [1, 2]),
        ([9.5, 9.2, 9.9], [1, 1, 1], 4, []),
        ([NEVER, 5.0, NEVER], [0, 1, 1], 4, [1, 2]),
    ],
    ids=["as many as the budget", "new before old", "the oldest looks", "a look of late is enough", "only wanted ones"],
)
def test_objects_without_a_look_come_first_then_those_with_the_oldest(
    last: list[float], wanted: list[int], budget: int, rows: list[int]
) -> None:
    found_rows = chosen(np.array(last), np.array(wanted, np.bool_), now=10.0, refresh=1.0, budget=budget)
    assert found_rows.tolist() == rows


def test_a_box_is_covered_by_one_in_front_that_hides_much_of_it() -> None:
    boxes = found((0, 0, 40, 100), (10, 10, 50, 110), (38, 0, 78, 90)).boxes
    assert covers(boxes).tolist() == [[False, True, False], [False, False, False], [False, False, False]]


def seen(before: LookedAt, frame: Detections, now: float, embedded: list[int]) -> tuple[LookedAt, list[float]]:
    hiding = covers(frame.boxes)
    met: BoolArray = np.asarray(hiding.any(axis=0) | hiding.any(axis=1))
    last = last_looks(before, frame, met)
    asked = last.tolist()
    last[embedded] = now
    return after(before, frame, last, met, now), asked


def test_a_look_belongs_to_the_object_wherever_it_moves() -> None:
    known, asked = seen(LookedAt.nothing(), found((0, 0, 40, 100)), 1.0, [0])
    assert asked == [NEVER]
    known, asked = seen(known, found((200, 0, 240, 100), (8, 0, 48, 100)), 1.1, [])
    assert asked == [NEVER, 1.0]
    _, asked = seen(known, found((16, 0, 56, 100)), 1.2, [])
    assert asked == [1.0]


def test_objects_that_met_are_in_doubt_once_they_part() -> None:
    known, _ = seen(LookedAt.nothing(), found((0, 0, 40, 100), (50, 0, 90, 110)), 1.0, [0, 1])
    known, asked = seen(known, found((10, 0, 50, 100), (34, 0, 74, 110)), 1.1, [])
    assert asked == [1.0, 1.0]
    known, asked = seen(known, found((12, 0, 52, 100), (31, 0, 71, 110)), 1.2, [])
    assert asked == [1.0, 1.0], "in the encounter nothing is asked"
    _, asked = seen(known, found((5, 0, 45, 100), (45, 0, 85, 110)), 1.3, [])
    assert asked == [NEVER, NEVER]


def test_an_object_is_remembered_for_a_second_without_a_detection() -> None:
    known, _ = seen(LookedAt.nothing(), found((0, 0, 40, 100)), 1.0, [0])
    missed, _ = seen(known, found(), 1.5, [])
    assert seen(missed, found((0, 0, 40, 100)), 1.9, [])[1] == [1.0]
    forgotten, _ = seen(missed, found(), 2.1, [])
    assert seen(forgotten, found((0, 0, 40, 100)), 2.2, [])[1] == [NEVER]
