"""Objects that motion has lost are found again by how they look."""

from __future__ import annotations

import numpy as np
import pytest

from sightd.plugins.api import Appearances, FloatArray, Results, Tracks
from sightd.plugins.tracker import Tracker, TrackerConfig
from tests.support.moving_world import box, detections, frame

PEOPLE = np.random.default_rng(3).normal(size=(40, 32)).astype(np.float32) + 2


def person(number: int, seed: float = 0.0) -> FloatArray:
    vector = PEOPLE[number] + 0.1 * np.random.default_rng((number, int(seed * 10))).normal(size=32)
    unit: FloatArray = (vector / np.linalg.norm(vector)).astype(np.float32)
    return unit


class Street:
    """Persons who are seen at places (x, y), each with its look unless it has none (negative numbers)."""

    def __init__(self, **options: object) -> None:
        self.tracker = Tracker(TrackerConfig.model_validate(options))
        self.at = 0.0
        cars = {20 + n: (80.0 + 95 * n, 600.0) for n in range(12)}
        self.show(cars, 3)

    def show(self, people: dict[int, tuple[float, float]], frames: int = 1, model: str = "model") -> dict[int, int]:
        """Shows persons, and cars from number 20 on, for some frames, ten per second, and returns the id of each on the
        last."""
        ids: dict[int, int] = {}
        for _ in range(frames):
            kinds = [int(number >= 20) for number in people]
            found = detections([box(x, y) for x, y in people.values()], class_ids=kinds)
            rows = [row for row, number in enumerate(people) if number >= 0]
            vectors = np.array([person(number, self.at) for number in people if number >= 0], np.float32)
            looks = Appearances(np.array(rows, np.int64), vectors.reshape(len(rows), 32), model)
            tracks = self.tracker.process([frame(0, self.at)], [Results(found, looks)])[0].get(Tracks)
            assert tracks is not None
            names = list(people)
            shown = zip(tracks.detection.tolist(), tracks.ids.tolist(), strict=True)
            ids = {names[row]: number for row, number in shown if row >= 0}
            self.at += 0.1
        return ids

    def wait(self, seconds: float) -> None:
        self.show({}, round(seconds * 10))


@pytest.mark.parametrize(("hidden_for", "place"), [(0.8, (420, 300)), (5.0, (600, 300)), (15.0, (900, 300))])
def test_a_person_who_returns_elsewhere_keeps_the_id(hidden_for: float, place: tuple[float, float]) -> None:
    street = Street()
    before = street.show({0: (200, 300)}, 5)[0]
    street.wait(hidden_for)
    assert street.show({0: place}, 3)[0] == before
    assert street.show({0: place, 1: (200, 300)}, 3) == {0: before, 1: before + 2}, "ids are not reused"


def test_another_person_at_that_place_has_another_id() -> None:
    street = Street()
    before = street.show({0: (200, 300)}, 5)[0]
    street.wait(5)
    assert street.show({1: (230, 300)}, 3)[1] != before


def test_someone_who_looks_the_same_but_cannot_have_come_so_far_is_another() -> None:
    street = Street()
    before = street.show({0: (100, 300)}, 5)[0]
    street.wait(1.6)
    assert street.show({0: (1200, 300)}, 3)[0] != before


def test_a_person_is_not_found_again_after_the_time_stated() -> None:
    street = Street(remember="3s")
    before = street.show({0: (200, 300)}, 5)[0]
    street.wait(3.5)
    assert street.show({0: (400, 300)}, 3)[0] != before


def test_a_person_without_a_look_has_a_new_id() -> None:
    street = Street()
    before = street.show({0: (200, 300)}, 5)[0]
    street.wait(5)
    assert street.show({-1: (400, 300)}, 3)[-1] != before


def test_a_look_that_two_lost_persons_share_decides_nothing() -> None:
    street = Street()
    people = np.copy(PEOPLE)
    try:
        PEOPLE[1] = PEOPLE[0]
        known = street.show({0: (200, 300), 1: (500, 300)}, 5)
        street.wait(3)
        assert street.show({0: (350, 300)}, 3)[0] not in known.values()
    finally:
        PEOPLE[:] = people


def test_no_id_is_on_two_objects() -> None:
    """The person is still in sight when another who looks the same appears."""
    street = Street()
    first = street.show({0: (200, 300)}, 5)[0]
    people = np.copy(PEOPLE)
    try:
        PEOPLE[1] = PEOPLE[0]
        both = street.show({0: (200, 300), 1: (500, 300)}, 4)
        assert both[0] == first
        assert both[1] != first
    finally:
        PEOPLE[:] = people


def test_looks_decide_who_is_who_when_two_boxes_could_be_either() -> None:
    """Two people meet and turn back while they are not seen; by motion they would have passed each other."""
    street = Street()
    for step in range(8):
        ids = street.show({0: (300 + 12 * step, 300), 1: (500 - 12 * step, 300)})
    street.wait(0.3)
    after = street.show({0: (398, 300), 1: (402, 300)})
    assert after == ids


def test_vectors_of_another_model_are_not_compared() -> None:
    street = Street()
    before = street.show({0: (200, 300)}, 5)[0]
    street.wait(5)
    assert street.show({0: (400, 300)}, 3, model="other")[0] != before


def test_a_scene_cut_or_a_forgotten_camera_ends_it() -> None:
    street = Street()
    before = street.show({0: (200, 300)}, 5)[0]
    street.tracker.forget("camera")
    street.wait(1)
    assert street.show({0: (200, 300)}, 3)[0] != before
