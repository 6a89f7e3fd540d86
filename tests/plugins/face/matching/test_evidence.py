"""A name is assigned when samples agree, does not flicker, and is not given to strangers however long they are seen."""

from __future__ import annotations

import numpy as np
import pytest

from sightd.plugins.api import FloatArray
from sightd.plugins.face.matching.calibration import calibration_of
from sightd.plugins.face.matching.evidence import Evidence, EvidenceRules, Verdict, of_one_sample
from sightd.plugins.face.matching.matcher import Match
from tests.plugins.face.people import People

TABLE = calibration_of("sface")
assert TABLE is not None
LIKE = TABLE.cosine(1e-2)
STRANGERS = 400


def rules(persons: int = 1, rate: float = 1e-3) -> EvidenceRules:
    assert TABLE is not None
    return EvidenceRules(TABLE, rate, persons, persons)


def match(embedding: FloatArray, gallery: FloatArray) -> Match:
    similarities = gallery @ embedding
    order = np.argsort(-similarities)
    following = float(similarities[order[1]]) if len(order) > 1 else -1.0
    return Match(int(order[0]), float(similarities[order[0]]), following)


def followed(
    looks: FloatArray, gallery: FloatArray, *, every: float = 0.04, quality: float = 1.0, rate: float = 1e-3
) -> list[Verdict]:
    """Returns the verdict after each sample."""
    asked, evidence, verdicts = rules(len(gallery), rate), None, []
    for n, look in enumerate(looks):
        of_look = match(look, gallery)
        nearest = of_look.person if of_look.similarity >= LIKE else None
        at = n * every
        if evidence is None:
            evidence = Evidence.first(look, quality, at, nearest)
        else:
            evidence = evidence.with_look(look, quality, at, nearest)
        evidence, verdict = evidence.judged(match(evidence.mean, gallery), asked)
        verdicts.append(verdict)
    return verdicts


def test_an_enrolled_person_is_named_with_the_second_look() -> None:
    """Measures how often and how soon, for 200 people in galleries of 10, at 25 samples a second."""
    soon = 0
    for person in range(200):
        people = People(10, seed=person)
        gallery = people.one_look_each()
        verdicts = followed(people.looks(3, 25, alike=0.8), gallery)
        assert verdicts[0].person is None
        assert verdicts[0].reason == "only one look so far" or "similar" in verdicts[0].reason
        assert {verdict.person for verdict in verdicts} <= {None, 3}
        soon += verdicts[1].person == 3
    assert soon >= 194


def test_a_name_that_is_given_does_not_flicker() -> None:
    for seed in range(50):
        people = People(10, seed=seed)
        gallery = people.one_look_each()
        names = [verdict.person for verdict in followed(people.looks(0, 200, alike=0.8), gallery)]
        first = names.index(0)
        assert names[first:].count(None) == 0


@pytest.mark.parametrize(("enrolled", "rate"), [(1, 2e-2), (20, 2e-2)])
def test_strangers_tracks_are_named_no_more_often_than_their_looks_would_be(enrolled: int, rate: float) -> None:
    """400 strangers, each seen for twenty seconds; a name at any time counts."""
    people = People(enrolled + STRANGERS, seed=7)
    gallery = np.concatenate([people.looks(person, 1) for person in range(enrolled)])
    named = 0
    for stranger in range(enrolled, len(people)):
        verdicts = followed(people.looks(stranger, 40, alike=0.5), gallery, every=0.5, rate=rate)
        named += any(verdict.person is not None for verdict in verdicts)
    assert named / STRANGERS <= rate, f"{named} of {STRANGERS}"


def test_looking_longer_finds_those_whom_one_look_misses() -> None:
    """Samples that are less similar to the enrolled one: half of them are below the threshold."""
    found = {1: 0, 20: 0}
    for seed in range(100):
        people = People(5, seed=seed)
        gallery = people.one_look_each()
        looks = people.looks(2, 20)
        worse = looks + 0.9 * People(1, seed=1000 + seed).looks(0, 20)
        worse /= np.linalg.norm(worse, axis=1, keepdims=True)
        for count in found:
            found[count] += followed(worse.astype(np.float32)[:count], gallery, every=1.0)[-1].person == 2
    assert found[20] > found[1]
    assert found[20] >= 60


def test_poor_looks_weigh_less() -> None:
    people = People(2, seed=5)
    first, second = people.looks(0, 1)[0], people.looks(0, 1)[0]
    good = Evidence.first(first, 1.0, 0.0, None).with_look(second, 1.0, 2.0, None)
    poor = Evidence.first(first, 1.0, 0.0, None).with_look(second, 0.1, 2.0, None)
    assert poor.mean @ first > good.mean @ first


def test_two_who_are_equally_similar_are_neither() -> None:
    evidence = Evidence.first(People(1).looks(0, 1)[0], 1.0, 0.0, 1).with_look(People(1).looks(0, 1)[0], 1.0, 1.0, 1)
    _, verdict = evidence.judged(Match(1, 0.7, 0.68), rules())
    assert verdict.person is None
    assert verdict.reason == "two persons are equally similar, 0.02 apart"


def test_a_name_changes_with_a_clearly_better_one_alone() -> None:
    look = People(1).looks(0, 1)[0]
    evidence = Evidence.first(look, 1.0, 0.0, 1)
    for n in range(1, 8):
        evidence = evidence.with_look(look, 1.0, float(n), 2)
    evidence, named = evidence.judged(Match(2, 0.7, 0.1), rules())
    assert named.person == 2
    for n in range(8, 12):
        evidence = evidence.with_look(look, 1.0, float(n), 3)
    for _ in range(3):
        evidence, close = evidence.judged(Match(3, 0.72, 0.65), rules())
        assert close.person is None, "however often it is asked"
    _, clear = evidence.judged(Match(3, 0.75, 0.5), rules())
    assert clear.person == 3


def test_a_stranger_in_the_place_of_a_known_person_takes_the_name_away_at_once() -> None:
    """The first sample of the stranger suffices in nearly all cases; the second starts over."""
    at_once, restarted, trials = 0, 0, 300
    for seed in range(trials):
        people = People(2, seed=seed)
        looks = np.concatenate([people.looks(0, 20), people.looks(1, 3)])
        verdicts = followed(looks, people.looks(0, 1), every=0.5)
        assert verdicts[19].person == 0
        at_once += verdicts[20].person is None
        restarted += verdicts[22].person is None and verdicts[21].reason != "the last look seems to show another person"
    assert at_once >= 0.98 * trials
    assert restarted >= 0.97 * trials


def test_one_odd_look_takes_the_name_away_and_the_next_gives_it_back() -> None:
    people = People(2, seed=3)
    looks = np.concatenate([people.looks(0, 6), people.looks(1, 1), people.looks(0, 2)])
    named = [verdict.person for verdict in followed(looks, people.looks(0, 1), every=0.5)]
    assert named[4:] == [0, 0, None, 0, 0]


def test_a_poor_look_that_shows_somebody_else_takes_the_name_away_and_decides_nothing_else() -> None:
    people = People(2, seed=4)
    evidence = Evidence.first(people.looks(0, 1)[0], 1.0, 0.0, 0)
    for n, look in enumerate(people.looks(0, 5)):
        evidence = evidence.with_look(look, 1.0, float(n), 0)
    assert evidence.with_poor_look(people.looks(0, 1)[0]) is evidence
    after = evidence.with_poor_look(people.looks(1, 1)[0])
    assert after.judged(Match(0, 0.9, 0.1), rules())[1].person is None
    assert np.array_equal(after.mean, evidence.mean)


def test_numbers_that_are_none_name_nobody() -> None:
    nan = float("nan")
    assert of_one_sample(Match(1, nan, nan), rules()).person is None
    evidence = Evidence.first(People(1).looks(0, 1)[0], 1.0, 0.0, 1).with_look(People(1).looks(0, 1)[0], 1.0, 1.0, 1)
    assert evidence.judged(Match(1, nan, nan), rules())[1].person is None


def test_an_empty_gallery_knows_nobody() -> None:
    evidence = Evidence.first(People(1).looks(0, 1)[0], 1.0, 0.0, None)
    assert evidence.judged(Match(None, -1.0, -1.0), rules(0))[1].reason == "nobody is enrolled"


def test_one_look_is_judged_at_the_rate_itself() -> None:
    assert TABLE is not None
    asked = TABLE.threshold(1e-3, 10, 10)
    assert of_one_sample(Match(4, asked + 0.001, 0.1), rules(10)).person == 4
    assert of_one_sample(Match(4, asked - 0.001, 0.1), rules(10)).person is None
    assert of_one_sample(Match(4, 0.8, 0.79), rules(10)).reason.startswith("two persons are equally similar")
    assert of_one_sample(Match(None, -1.0, -1.0), rules(0)).reason == "nobody is enrolled"


def test_it_stays_as_small_as_it_was() -> None:
    people = People(1)
    evidence = Evidence.first(people.looks(0, 1)[0], 1.0, 0.0, 0)
    for n, look in enumerate(people.looks(0, 500)):
        evidence = evidence.with_look(look, 1.0, n / 5, n % 40)
    assert len(evidence.agreed) <= 40
    assert evidence.weight <= 8.0
