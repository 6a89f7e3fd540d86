"""Refines thresholds from the gallery itself: how similar its persons are to each other, and to themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sightd.plugins.face.calibration import Calibration
from sightd.plugins.types import FloatArray

_PRIOR_PAIRS = 3000.0
"""Number of own pairs that weigh as much as the table, which rests on millions, but from other people and cameras."""
_QUANTILE = 0.9
"""Quantile of the cosines of different persons: high enough to be near the tail, low enough to need few pairs."""
_LOWEST, _HIGHEST = -0.02, 0.15
"""Limits of the shift. A gallery is small and may show only one kind of people, so it can hardly lower the threshold,
but may raise it."""
_LOOK_ALIKE = 0.5
_MOST_WARNINGS = 20


@dataclass(frozen=True, slots=True)
class Refinement:
    """`shift` is to be added to every cosine of the table.

    `alike`: ids of two persons whose images are more similar than strangers' should be, and their cosine; `unlike`: ids
    of persons whose own images are not similar enough, and their median cosine.
    """

    persons: int
    impostor_pairs: int
    genuine_pairs: int
    shift: float
    missed: float | None
    """Share of pairs of one person below the current threshold (FNMR); None without such pairs."""
    alike: tuple[tuple[int, int, float], ...]
    unlike: tuple[tuple[int, float], ...]


def refinement(
    table: Calibration, embeddings: FloatArray, owners: NDArray[np.int64], false_identification: float
) -> Refinement:
    """Analyses a gallery's faces: float32 [m, d] of unit length and the ids of their persons, int64 [m].

    The shift moves the table's cosine at the 90th percentile of strangers towards that of the gallery's own pairs, by n
    / (n + 3000) of the difference for n pairs.
    """
    cosines = embeddings @ embeddings.T
    first, second = np.triu_indices(len(owners), 1)
    pairs = cosines[first, second]
    same = owners[first] == owners[second]
    impostor, genuine = pairs[~same], pairs[same]
    shift = _shift(table, impostor)
    persons = np.unique(owners)
    asked = replace(table, shift=shift).threshold(false_identification, len(persons), len(owners))
    return Refinement(
        len(persons),
        len(impostor),
        len(genuine),
        shift,
        float(np.mean(genuine < asked)) if len(genuine) else None,
        tuple(_alike(cosines, owners, persons)),
        tuple(_unlike(cosines, owners, persons, asked)),
    )


def _shift(table: Calibration, impostor: FloatArray) -> float:
    if not len(impostor):
        return 0.0
    found = float(np.quantile(impostor, _QUANTILE)) - table.cosine(1 - _QUANTILE) + table.shift
    return float(np.clip(found * len(impostor) / (len(impostor) + _PRIOR_PAIRS), _LOWEST, _HIGHEST))


def _alike(
    cosines: FloatArray, owners: NDArray[np.int64], persons: NDArray[np.int64]
) -> Iterator[tuple[int, int, float]]:
    """Yields pairs of persons who look alike, the most similar first."""
    order = np.argsort(owners, kind="stable")
    starts = np.searchsorted(owners[order], persons)
    by_face = np.maximum.reduceat(cosines[np.ix_(order, order)], starts, axis=0)
    most = np.triu(np.maximum.reduceat(by_face, starts, axis=1), 1)
    found = [(int(persons[i]), int(persons[k]), float(most[i, k])) for i, k in np.argwhere(most >= _LOOK_ALIKE)]
    yield from sorted(found, key=lambda pair: -pair[2])[:_MOST_WARNINGS]


def _unlike(
    cosines: FloatArray, owners: NDArray[np.int64], persons: NDArray[np.int64], asked: float
) -> Iterator[tuple[int, float]]:
    for person in persons.tolist():
        own = cosines[np.ix_(owners == person, owners == person)]
        if len(own) > 1:
            typical = float(np.median(own[np.triu_indices(len(own), 1)]))
            if typical < asked:
                yield person, typical
