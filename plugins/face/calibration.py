"""From the rate of mistakes that a user accepts to the cosine that two looks must reach, and back.

Terms as in ISO/IEC 19795-1: FMR, the share of comparisons of different persons that reach a threshold; FNMR, of the
same person that do not; FPIR, the share of looks of strangers that reach it with anybody in the gallery.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

_FURTHER = 0.5
"""What a person's second and each further picture counts as a comparison. They show the same person, so a stranger who
is unlike the first is mostly unlike the others too. What it is between 0 (all alike) and 1 (independent) was not
measured; half is a guess on the safe side."""
_LEAST_FMR = 1e-9
"""Beyond it nothing was ever measured, and no rate is told."""
_BEYOND_FROM = 1e-4
"""Above the table its slope from here to its end goes on."""
_FEWEST = 20
"""Pairs on which a point must rest: among the few most alike are some of one person under two names."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Of one embedder: cosines [n] rising and the FMR at each, falling; `missed_at` [m] and the FNMR at each, rising.

    `shift` is added to every cosine: what a user's own gallery showed (see `refinement`).
    """

    cosines: Numbers
    fmrs: Numbers
    missed_at: Numbers
    fnmrs: Numbers
    shift: float = 0.0

    def fmr(self, cosine: float) -> float:
        """The share of strangers' looks with this cosine to a given picture, or a higher one. Between the table's
        points its logarithm is linear, beyond them it goes on at the ends' slopes."""
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
        """The cosine at which `fmr` is reached; the other way round."""
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
        """The share of a person's own looks that have a lower cosine to a picture of theirs. Above the table as if they
        were normally distributed, which within it they nearly are."""
        at = cosine - self.shift
        if at <= self.missed_at[-1]:
            return float(np.interp(at, self.missed_at, self.fnmrs))
        spread = NormalDist()
        first, last = (spread.inv_cdf(float(rate)) for rate in (self.fnmrs[0], self.fnmrs[-1]))
        deviation = (self.missed_at[-1] - self.missed_at[0]) / (last - first)
        return spread.cdf(last + (at - self.missed_at[-1]) / deviation)

    def threshold(self, false_identification: float, persons: int, embeddings: int) -> float:
        """The cosine at which a stranger's look gets somebody's name with that probability (FPIR) in a gallery.

        With m independent comparisons FPIR = 1 - (1 - FMR)^m; m is the number of persons and a part of the further
        embeddings. An empty gallery is asked as one of one person.
        """
        comparisons = max(1.0, persons + _FURTHER * (embeddings - persons))
        return self.cosine(-np.expm1(np.log1p(-min(false_identification, 0.5)) / comparisons))

    @property
    def _slope_beyond(self) -> float:
        """Decades of FMR for each unit of cosine, above the table."""
        start = int(np.argmin(np.abs(np.log10(self.fmrs / _BEYOND_FROM))))
        decades = np.log10(self.fmrs[start] / self.fmrs[-1])
        return float(decades / (self.cosines[-1] - self.cosines[start]))


@cache
def calibration_of(model: str) -> Calibration | None:
    """The table that comes with a recogniser of the catalogue; None where there is none."""
    file = resources.files("sightd.plugins.face").joinpath(f"{model}.csv")
    if not file.is_file():
        return None
    rows = list(csv.DictReader(line for line in file.read_text().splitlines() if not line.startswith("#")))
    cosines, fmrs, fnmrs, pairs = (
        np.array([float(row[name]) for row in rows]) for name in ("cosine", "fmr", "fnmr", "pairs")
    )
    sure = pairs >= _FEWEST
    return Calibration(cosines[sure], fmrs[sure], cosines, fnmrs)
