"""Which known face belongs to which person."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from sightd.plugins.api import Faces, Tracks
from sightd.plugins.zones.sightings import sightings_of

LARGE, SMALL, CAR = (0, 0, 60, 90), (10, 0, 30, 60), (0, 0, 99, 99)
LABELS = ("person", "car")


def tracks(boxes: Sequence[tuple[int, int, int, int]], classes: Sequence[int], detection: Sequence[int]) -> Tracks:
    count = len(boxes)
    ones, two = np.ones(count, np.float32), np.zeros((count, 2), np.float32)
    rows = np.array(boxes, np.float32)
    return Tracks(rows, ones, np.array(classes), np.arange(count), ones, two, np.array(detection), LABELS)


def faces(centre: tuple[float, float], name: str | None) -> Faces:
    x, y = centre
    one = np.ones(1, np.float32)
    return Faces(
        np.array([[x - 3, y - 3, x + 3, y + 3]], np.float32), one, np.zeros((1, 5, 2), np.float32), one,
        np.zeros(1, np.int64), (name,), one, one, ("",), np.zeros((1, 4), np.float32),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("centre", "name", "expected"),
    [
        ((20, 10), "Ada", [None, "Ada", None]),  # within both persons: the smaller one
        ((50, 10), "Ada", ["Ada", None, None]),
        ((50, 80), "Ada", [None, None, None]),  # at no head
        ((90, 10), "Ada", [None, None, None]),  # only in the car
        ((20, 10), None, [None, None, None]),
    ],
)
def test_a_face_belongs_to_the_smallest_person_whose_head_it_can_be(
    centre: tuple[float, float], name: str | None, expected: list[str | None]
) -> None:
    found = sightings_of(tracks([LARGE, SMALL, CAR], [0, 0, 1], [0, 1, 2]), faces(centre, name), (100, 100))
    assert [one.person for one in found] == expected


def test_a_track_stands_at_the_middle_of_its_lower_edge_within_the_frame() -> None:
    [person, car] = sightings_of(tracks([SMALL, CAR], [0, 1], [0, -1]), None, (99, 99))
    assert person.point == pytest.approx((20, 60))
    assert person.size == pytest.approx((20 * 60) ** 0.5)
    assert car.point[1] < 99
    assert (person.observed, car.observed) == (True, False)
