"""Which tracks of several cameras are the same object."""

from __future__ import annotations

import threading

import numpy as np

from sightd.plugins.api import FloatArray
from sightd.plugins.identity.gallery import Gallery, SeenTrack

PEOPLE = np.random.default_rng(5).normal(size=(40, 64)).astype(np.float32) + 2


def person(number: int, noise: float = 0.2, seed: int = 0) -> FloatArray:
    """Returns a vector of a person, each time a little different."""
    vector = PEOPLE[number] + noise * np.random.default_rng((number, seed)).normal(size=64).astype(np.float32)
    unit: FloatArray = (vector / np.linalg.norm(vector)).astype(np.float32)
    return unit


def show(
    gallery: Gallery, camera: str, people: dict[int, int], at: float, frames: int = 6, label: str = "person"
) -> dict[int, int]:
    """Shows persons by track on some frames of a camera from `at` on, and returns the identities."""
    found: dict[int, int] = {}
    for frame in range(frames):
        seen = [SeenTrack(track, label, person(one, seed=int(10 * at) + frame)) for track, one in people.items()]
        found = gallery.update(camera, seen, at + 0.1 * frame, "model")
    return found


def gallery(remember: float = 600, most: int = 100) -> Gallery:
    """Returns a gallery that knows how different people are, from a camera on which others were seen."""
    one = Gallery(remember, most, 3.0)
    show(one, "hall", {100 + n: 20 + n for n in range(12)}, 0.0)
    return one


def test_a_person_has_the_same_identity_on_all_cameras_and_another_person_has_not() -> None:
    group = gallery()
    at_the_gate = show(group, "gate", {1: 0, 2: 1}, 10.0)
    assert sorted(at_the_gate.values()) == [13, 14]
    in_the_yard = show(group, "yard", {7: 1, 8: 2}, 30.0)
    assert in_the_yard[7] == at_the_gate[2]
    assert in_the_yard[8] == 15


def test_it_is_decided_once_there_are_six_looks() -> None:
    group = gallery()
    first = show(group, "gate", {1: 0}, 10.0)[1]
    assert show(group, "yard", {4: 0}, 20.0, frames=5) == {}
    assert show(group, "yard", {4: 0}, 20.5, frames=1) == {4: first}
    assert group.update("yard", [SeenTrack(4, "person")], 20.6, "model") == {4: first}, "without a look, too"


def test_nobody_is_recognised_until_it_is_known_how_different_people_are() -> None:
    empty = Gallery(600, 100, 3.0)
    assert show(empty, "gate", {1: 0}, 1.0) != show(empty, "yard", {1: 0}, 10.0)


def test_two_people_of_one_camera_never_share_an_identity() -> None:
    twins = gallery()
    found = show(twins, "gate", {1: 0, 2: 0}, 10.0)
    assert len(set(found.values())) == 2


def test_a_doubtful_match_is_none() -> None:
    group = gallery()
    show(group, "gate", {1: 0, 2: 0}, 10.0)
    returned = show(group, "yard", {3: 0}, 30.0)
    assert returned[3] == 15, "it could be either"


def test_objects_of_another_class_are_other_objects() -> None:
    group = gallery()
    first = show(group, "gate", {1: 0}, 10.0)[1]
    assert show(group, "yard", {1: 0}, 20.0, label="bicycle")[1] != first


def test_an_object_is_forgotten_after_a_time_and_the_oldest_if_there_are_too_many() -> None:
    soon = gallery(remember=30)
    first = show(soon, "gate", {1: 0}, 10.0)[1]
    show(soon, "gate", {1: 0}, 35.0)
    assert show(soon, "yard", {1: 0}, 60.0)[1] == first
    show(soon, "hall", {1: 1}, 200.0)
    assert len(soon) == 1
    few = gallery(most=12)
    show(few, "gate", {1: 0}, 10.0)
    assert len(few) == 12


def test_a_camera_that_is_forgotten_leaves_its_objects_known() -> None:
    group = gallery()
    first = show(group, "gate", {1: 0}, 10.0)[1]
    group.forget("gate")
    assert show(group, "gate", {1: 0}, 20.0)[1] == first
    assert group.update("gate", [], 20.6, "model") == {1: first}


def test_vectors_of_another_model_are_not_compared() -> None:
    group = gallery()
    show(group, "gate", {1: 0}, 10.0)
    assert group.update("gate", [SeenTrack(1, "person", person(0)[:16])], 11.0, "other") == {}
    assert len(group) == 0


def test_cameras_may_report_at_the_same_time() -> None:
    group, cameras = gallery(), 4

    def watch(camera: int) -> None:
        for at in range(20):
            show(group, f"camera {camera}", {at: at % 10}, 10.0 + at)

    threads = [threading.Thread(target=watch, args=(n,)) for n in range(cameras)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 12 < len(group) <= 12 + 10 * cameras
