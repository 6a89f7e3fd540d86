"""Unknown persons are stored, named and deleted, even if others do so at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sightd.plugins.api import FloatArray
from sightd.plugins.face.gallery.gallery import Gallery
from sightd.plugins.face.gallery.sightings import Best, Sighting, Sightings, UnknownStore
from sightd.plugins.face.matching.calibration import calibration_of
from tests.plugins.face.gallery.faces import crop, vector

TABLE = calibration_of("sface")
assert TABLE is not None


@pytest.fixture
def galleries(tmp_path: Path) -> Iterator[list[Gallery]]:
    """Two programs' connections to one file."""
    opened = [Gallery(tmp_path / "faces.db") for _ in range(2)]
    yield opened
    for gallery in opened:
        gallery.close()


def visit(store: UnknownStore, look: FloatArray, at: float = 1.0) -> int | None:
    assert TABLE is not None
    return store.with_visit(look, 1.0, at, Best(0.9, crop(1)), TABLE, 100)


def test_who_is_dropped_by_the_limit_leaves_no_sightings(galleries: list[Gallery]) -> None:
    assert TABLE is not None
    store, sightings = UnknownStore(galleries[0], "sface"), Sightings(galleries[0])
    for at in (1.0, 2.0, 3.0):
        number = store.with_visit(vector(int(at)), 1.0, at, Best(0.9, crop(1)), TABLE, 2)
        sightings.add(Sighting("hall", at, at, None, number, None, None, "nobody"))
    assert [person.number for person in store.load().persons] == [2, 3]
    assert {one.unknown for one in sightings.latest()} == {2, 3}


def test_two_programs_give_no_number_twice(galleries: list[Gallery]) -> None:
    first, second = (UnknownStore(gallery, "sface") for gallery in galleries)
    numbers = [visit(store, vector(seed)) for seed, store in enumerate([first, second, first, second])]
    assert numbers == [1, 2, 3, 4]
    assert [person.number for person in first.load().persons] == numbers


def test_one_who_was_forgotten_meanwhile_does_not_come_back(galleries: list[Gallery]) -> None:
    first, second = (UnknownStore(gallery, "sface") for gallery in galleries)
    assert visit(first, vector(1)) == 1
    second.forget([1])
    assert visit(first, vector(1)) == 2, "somebody new"


def between(one: FloatArray, other: FloatArray) -> FloatArray:
    mean = one + other
    return np.asarray(mean / np.linalg.norm(mean), np.float32)


def test_when_joined_persons_were_seen_goes_with_them(galleries: list[Gallery]) -> None:
    gallery = galleries[0]
    store, sightings = UnknownStore(gallery, "sface"), Sightings(gallery)
    first, second = visit(store, vector(1)), visit(store, vector(2))
    for number in (first, second):
        sightings.add(Sighting("hall", 1.0, 2.0, None, number, None, None, "nobody"))
    for _ in range(12):
        visit(store, between(vector(1), vector(2)))
    (person,) = store.load().persons
    assert person.joined, "the two turned out to be one"
    named = store.name(person.number, "Ada")
    assert {one.person for one in sightings.latest()} == {named.id}
    assert not store.load().persons
