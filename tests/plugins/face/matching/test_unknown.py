"""Unknown persons are distinguished, recognised again, and forgotten after a time."""

from __future__ import annotations

from collections import Counter

import numpy as np

from sightd.plugins.api import FloatArray
from sightd.plugins.face.matching.calibration import calibration_of
from sightd.plugins.face.matching.unknown import Unknowns
from tests.plugins.face.people import People

TABLE = calibration_of("sface")
assert TABLE is not None


def visit(unknowns: Unknowns, look: FloatArray, at: float, most: int = 1000) -> tuple[Unknowns, int]:
    assert TABLE is not None
    return unknowns.with_visit(look, 1.0, at, TABLE, most)


def mean_of(looks: FloatArray) -> FloatArray:
    mean = looks.sum(axis=0)
    return np.asarray(mean / np.linalg.norm(mean), np.float32)


def test_people_who_come_again_and_again_are_each_one_person() -> None:
    """60 people, 10 visits each in random order, each visit the mean of five samples."""
    people, order = People(60, seed=1), np.random.default_rng(2).permutation(600) % 60
    unknowns, numbers = Unknowns(), []
    for at, person in enumerate(order.tolist()):
        unknowns, number = visit(unknowns, mean_of(people.looks(person, 5, alike=0.5)), float(at))
        numbers.append(number)
    found = [unknowns.find(number) for number in numbers]
    pairs = Counter((person, one.number) for person, one in zip(order.tolist(), found, strict=True) if one is not None)
    pure = sum(max(n for (_, who), n in pairs.items() if who == number) for number in {who for _, who in pairs})
    assert len(unknowns.persons) <= 66
    assert pure / 600 >= 0.98
    assert sum(person.visits for person in unknowns.persons) == 600


def test_two_who_turn_out_to_be_one_are_joined_under_the_older_number() -> None:
    one = People(1, seed=4).looks(0, 40)
    unknowns, first = visit(Unknowns(), one[0], 1.0)
    away = one[1] - 0.75 * (one[1] @ one[0]) * one[0]  # a sample that is unlike the first
    unknowns, second = visit(unknowns, np.asarray(away / np.linalg.norm(away), np.float32), 2.0)
    assert first != second
    for at, look in enumerate(one[2:]):
        unknowns, _ = visit(unknowns, look, 3.0 + at)
    assert len(unknowns.persons) == 1
    person = unknowns.find(second)
    assert person is not None
    assert (person.number, person.joined, person.visits) == (first, (second,), 40)
    assert (person.first_seen, person.last_seen) == (1.0, 40.0)


def test_those_not_seen_for_long_are_forgotten() -> None:
    people = People(5, seed=6)
    unknowns = Unknowns()
    for person in range(5):
        unknowns, _ = visit(unknowns, people.looks(person, 1)[0], float(person))
    assert [one.number for one in unknowns.since(3.0).persons] == [4, 5]
    unknowns, number = visit(unknowns.since(3.0), people.looks(0, 1)[0], 9.0)
    assert number == 6, "numbers are never given twice"


def test_the_number_of_persons_is_bounded_and_the_longest_unseen_go() -> None:
    people = People(30, seed=8)
    unknowns = Unknowns()
    for person in range(30):
        unknowns, _ = visit(unknowns, people.looks(person, 1)[0], float(person), most=10)
    assert [one.last_seen for one in unknowns.persons] == [float(at) for at in range(20, 30)]


def test_one_who_was_named_is_no_unknown_any_more() -> None:
    unknowns, number = visit(Unknowns(), People(1).looks(0, 1)[0], 1.0)
    assert unknowns.without(number).find(number) is None
    assert Unknowns().find(1) is None
