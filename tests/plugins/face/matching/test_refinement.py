"""A user's own gallery moves the thresholds as far as its data allow."""

from __future__ import annotations

import numpy as np
import pytest

from sightd.plugins.api import FloatArray, IntArray
from sightd.plugins.face.matching.calibration import calibration_of, refinement
from tests.plugins.face.people import People

TABLE = calibration_of("sface")
assert TABLE is not None


def gallery(persons: int, each: int, *, alike: float = 0.0) -> tuple[FloatArray, IntArray]:
    """Returns embeddings and their owners; `alike` adds similarity between all of them beyond that of real people."""
    people = People(persons, seed=persons)
    looks = np.concatenate([people.looks(person, each) for person in range(persons)])
    looks = looks + alike * People(1, seed=99).looks(0, 1)
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    return looks.astype(np.float32), np.repeat(np.arange(persons), each)


def test_people_as_in_the_table_move_nothing_worth_mentioning() -> None:
    assert TABLE is not None
    found = refinement(TABLE, *gallery(60, 3), 1e-3)
    assert (found.persons, found.genuine_pairs, found.impostor_pairs) == (60, 180, 60 * 59 // 2 * 9)
    assert abs(found.shift) < 0.02
    assert found.missed is not None
    assert found.missed < 0.03
    assert not found.alike


def test_people_who_look_more_alike_ask_for_more_and_the_more_so_the_more_there_are() -> None:
    assert TABLE is not None
    few, many = (refinement(TABLE, *gallery(count, 2, alike=0.4), 1e-3).shift for count in (8, 60))
    assert 0 < few < many <= 0.15


def test_nothing_is_known_from_only_one_person() -> None:
    assert TABLE is not None
    found = refinement(TABLE, *gallery(1, 1), 1e-3)
    assert (found.shift, found.missed, found.impostor_pairs) == (0.0, None, 0)
    assert refinement(TABLE, np.zeros((0, 128), np.float32), np.zeros(0, np.int64), 1e-3).persons == 0


def test_one_person_under_two_names_and_two_under_one_are_reported() -> None:
    assert TABLE is not None
    embeddings, owners = gallery(5, 3)
    owners = owners.copy()
    owners[0] = 4
    found = refinement(TABLE, embeddings, owners, 1e-3)
    assert found.alike[0][:2] == (0, 4)
    assert found.alike[0][2] == pytest.approx(float((embeddings[0] @ embeddings[1:3].T).max()), abs=0.2)
    embeddings, owners = gallery(4, 2)
    mixed = np.array([0, 1, 2, 2, 0, 1, 3, 3])
    assert {person for person, _ in refinement(TABLE, embeddings, mixed, 1e-3).unlike} == {0, 1}
