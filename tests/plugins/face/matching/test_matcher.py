"""The most similar person, and the margin to the next one."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sightd.plugins.face.matching.matcher import Enrolled, Matcher
from tests.plugins.face.people import People


def enrolled(*faces: int) -> tuple[Enrolled, People]:
    """Returns a gallery of people with the given numbers of faces."""
    people = People(len(faces), seed=sum(faces))
    looks = [people.looks(person, count) for person, count in enumerate(faces)]
    owners = np.repeat(np.arange(len(faces)) * 3 + 7, faces)
    return Enrolled(np.concatenate(looks), owners, {}, 4), people


@given(st.lists(st.integers(1, 6), min_size=1, max_size=12))
def test_it_is_the_plain_maximum_over_each_persons_faces(faces: list[int]) -> None:
    known, people = enrolled(*faces)
    matcher = Matcher(known)
    looks = np.concatenate([people.looks(person, 1) for person in range(len(people))])
    for look, match in zip(looks, matcher.match(looks), strict=True):
        cosines = known.embeddings @ look
        best = {int(owner): float(cosines[known.owners == owner].max()) for owner in known.owners}
        order = sorted(best, key=lambda owner: -best[owner])
        assert match.person == order[0]
        assert np.isclose(match.similarity, best[order[0]], atol=1e-6)
        assert np.isclose(match.next_similarity, best[order[1]] if len(order) > 1 else -1.0, atol=1e-6)
    assert (matcher.persons, matcher.embeddings, matcher.generation) == (len(faces), sum(faces), 4)


def test_an_empty_gallery_matches_nobody() -> None:
    matcher = Matcher(Enrolled(np.zeros((0, 128), np.float32), np.zeros(0, np.int64), {}, 0))
    (match,) = matcher.match(People(1).looks(0, 1))
    assert match.person is None
    assert np.isnan(match.similarity)
    assert matcher.match(np.zeros((0, 128), np.float32)) == []
