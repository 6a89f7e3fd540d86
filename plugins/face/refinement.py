"""What the gallery itself says of the thresholds: how alike its persons are to each other, and to themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sightd.plugins.face.calibration import Calibration
from sightd.plugins.types import FloatArray

_PRIOR_PAIRS = 3000.0
"""So many pairs of one's own weigh as much as the table: it rests on millions, but of other people and cameras."""
_QUANTILE = 0.9
"""Of the cosines of different persons: high enough to be near the tail, low enough for few pairs."""
_LOWEST, _HIGHEST = -0.02, 0.15
"""A gallery is small and may show one kind of people: it hardly lowers what is asked, and may raise it."""
_LOOK_ALIKE = 0.5
_MOST_WARNINGS = 20


@dataclass(frozen=True, slots=True)
class Refinement:
    """`shift` is to be added to every cosine of the table.

    `alike`: ids of two persons whose pictures are more alike than strangers' should be, and their cosine; `unlike`:
    persons whose own pictures are not.
    """

    persons: int
    impostor_pairs: int
    genuine_pairs: int
    shift: float
    missed: float | None
    """Share of pairs of one person below the threshold that holds now (FNMR); None without such pairs."""
    alike: tuple[tuple[int, int, float], ...]
    unlike: tuple[tuple[int, float], ...]


def refinement(
    table: Calibration, embeddings: FloatArray, owners: NDArray[np.int64], false_identification: float
) -> Refinement:
    """Of a gallery's faces: float32 [m, d] of length 1 and their persons' ids int64 [m].

    The shift moves the table's cosine at the 90th percentile of strangers towards that of the gallery's own pairs,
    by n / (n + 3000) of the way for n pairs.
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
    """Pairs of persons, the most alike first."""
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
