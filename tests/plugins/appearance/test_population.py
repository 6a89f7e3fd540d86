"""How alike looks are, in terms of how alike different objects are."""

from __future__ import annotations

import numpy as np

from sightd.plugins.api import FloatArray
from sightd.plugins.appearance.population import Population


def unit(vectors: FloatArray) -> FloatArray:
    found: FloatArray = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return found


def people(number: int, seed: int = 0) -> FloatArray:
    """Returns vectors with much in common, as of an embedder that was not made to tell people apart."""
    return unit(3 + np.random.default_rng(seed).normal(size=(number, 64)).astype(np.float32))


def learnt(vectors: FloatArray) -> Population:
    return Population().learnt(vectors, vectors, ~np.eye(len(vectors), dtype=np.bool_))


def test_the_same_object_stands_out_although_all_have_much_in_common() -> None:
    vectors = people(20)
    again = unit(vectors + 0.02 * people(20, seed=1))
    alike = learnt(vectors).deviations(vectors, again)
    assert float((vectors @ again.T).min()) > 0.8
    assert float(np.diag(alike).min()) > 5
    assert float(alike[~np.eye(20, dtype=np.bool_)].max()) < 4.5


def test_nothing_is_alike_until_enough_objects_were_seen() -> None:
    vectors = people(20)
    assert (learnt(vectors[:5]).deviations(vectors, vectors) == -np.inf).all()
    assert np.isfinite(learnt(vectors[:10]).deviations(vectors, vectors)).all()


def test_it_adapts_to_objects_that_look_more_alike() -> None:
    uniform = unit(people(1) + 0.003 * people(40, seed=2))
    pair = uniform[:2]
    before = learnt(people(20)).deviations(pair[:1], pair[1:])
    population = learnt(people(20))
    for _ in range(20):
        population = population.learnt(uniform, uniform, ~np.eye(40, dtype=np.bool_))
    assert float(population.deviations(pair[:1], pair[1:])[0, 0]) < float(before[0, 0]) - 1
