"""Converts an accepted error rate to the cosine that two face samples must reach, and back; refines it from a gallery.

Terms as in ISO/IEC 19795-1: FMR, the share of comparisons of different persons that reach a threshold; FNMR, the share
of comparisons of the same person that do not; FPIR, the share of samples of strangers that reach it with anybody in the
gallery. `refinement` measures how similar the persons of a user's own gallery are to each other, and to themselves.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from sightd.plugins.api import FloatArray

Numbers = NDArray[np.float64]
_FURTHER = 0.5
"""Weight of a person's second and each further image as a comparison. They show the same person, so a stranger unlike
the first is mostly unlike the others too. The true value, between 0 (all alike) and 1 (independent), was not measured;
one half is a guess on the safe side."""
_LEAST_FMR = 1e-9
"""Smallest FMR reported; nothing below it was ever measured."""
_BEYOND_FROM = 1e-4
"""FMR at which the slope used beyond the table starts; it ends at the last point of the table."""
_FEWEST = 20
"""Pairs that a point must rest on: among the few most similar pairs, some show one person under two names."""
_PRIOR_PAIRS = 3000.0
"""Number of own pairs that weigh as much as the table, which rests on millions, but from other people and cameras."""
_QUANTILE = 0.9
"""Quantile of the cosines of different persons: high enough to be near the tail, low enough to need few pairs."""
_LOWEST, _HIGHEST = -0.02, 0.15
"""Limits of the shift. A gallery is small and may show only one kind of people, so it can hardly lower the threshold,
but may raise it."""
_LOOK_ALIKE = 0.5
_MOST_WARNINGS = 20


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Calibration of one embedder: rising cosines [n] with the falling FMR at each; `missed_at` [m] with the rising
    FNMR at each.

    `shift` is added to every cosine: the correction found in a user's own gallery (see `refinement`).
    """

    cosines: Numbers
    fmrs: Numbers
    missed_at: Numbers
    fnmrs: Numbers
    shift: float = 0.0

    def fmr(self, cosine: float) -> float:
        """Returns the share of strangers' samples whose cosine to a given image is this high or higher. Interpolates
        the logarithm linearly between the table's points and extrapolates with the slopes at its ends."""
        at = cosine - self.shift
        logs = np.log10(self.fmrs)
        if at > self.cosines[-1]:
            log = logs[-1] - (at - self.cosines[-1]) * self._slope_beyond
        elif at < self.cosines[0]:
            slope = (logs[1] - logs[0]) / (self.cosines[1] - self.cosines[0])
            log = logs[0] + (at - self.cosines[0]) * slope
        else:
            log = float(np.interp(at, self.cosines, logs))
        return float(np.clip(10.0**log, _LEAST_FMR, 1.0))

    def cosine(self, fmr: float) -> float:
        """Returns the cosine at which `fmr` is reached; the inverse of `fmr`."""
        log, logs = np.log10(max(fmr, _LEAST_FMR)), np.log10(self.fmrs)
        if log < logs[-1]:
            at = self.cosines[-1] + (logs[-1] - log) / self._slope_beyond
        elif log > logs[0]:
            slope = (logs[1] - logs[0]) / (self.cosines[1] - self.cosines[0])
            at = self.cosines[0] + (log - logs[0]) / slope
        else:
            at = float(np.interp(-log, -logs, self.cosines))
        return float(at + self.shift)

    def fnmr(self, cosine: float) -> float:
        """Returns the share of a person's own samples with a lower cosine to an image of theirs. Above the table a
        normal distribution is assumed, which the values within the table nearly follow."""
        at = cosine - self.shift
        if at <= self.missed_at[-1]:
            return float(np.interp(at, self.missed_at, self.fnmrs))
        spread = NormalDist()
        first, last = (spread.inv_cdf(float(rate)) for rate in (self.fnmrs[0], self.fnmrs[-1]))
        deviation = (self.missed_at[-1] - self.missed_at[0]) / (last - first)
        return spread.cdf(last + (at - self.missed_at[-1]) / deviation)

    def threshold(self, false_identification: float, persons: int, embeddings: int) -> float:
        """Returns the cosine at which a stranger's sample is named with that probability (FPIR) in a gallery.

        For m independent comparisons FPIR = 1 - (1 - FMR)^m, where m is the number of persons plus a share of their
        further embeddings. An empty gallery is treated like one with one person.
        """
        comparisons = max(1.0, persons + _FURTHER * (embeddings - persons))
        return self.cosine(-np.expm1(np.log1p(-min(false_identification, 0.5)) / comparisons))

    @property
    def _slope_beyond(self) -> float:
        """Decades of FMR per unit of cosine, above the table."""
        start = int(np.argmin(np.abs(np.log10(self.fmrs / _BEYOND_FROM))))
        decades = np.log10(self.fmrs[start] / self.fmrs[-1])
        return float(decades / (self.cosines[-1] - self.cosines[start]))


@cache
def calibration_of(model: str) -> Calibration | None:
    """Returns the table shipped with a recogniser of the catalogue; None if there is none."""
    file = resources.files("sightd.plugins.face.matching").joinpath(f"{model}.csv")
    if not file.is_file():
        return None
    rows = list(csv.DictReader(line for line in file.read_text().splitlines() if not line.startswith("#")))
    cosines, fmrs, fnmrs, pairs = (
        np.array([float(row[name]) for row in rows]) for name in ("cosine", "fmr", "fnmr", "pairs")
    )
    sure = pairs >= _FEWEST
    return Calibration(cosines[sure], fmrs[sure], cosines, fnmrs)


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
