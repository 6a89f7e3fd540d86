"""Converts an accepted error rate to the cosine that two face samples must reach, and back.

Terms as in ISO/IEC 19795-1: FMR, the share of comparisons of different persons that reach a threshold; FNMR, the share
of comparisons of the same person that do not; FPIR, the share of samples of strangers that reach it with anybody in the
gallery.
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
"""Weight of a person's second and each further image as a comparison. They show the same person, so a stranger unlike
the first is mostly unlike the others too. The true value, between 0 (all alike) and 1 (independent), was not measured;
one half is a guess on the safe side."""
_LEAST_FMR = 1e-9
"""Smallest FMR reported; nothing below it was ever measured."""
_BEYOND_FROM = 1e-4
"""FMR at which the slope used beyond the table starts; it ends at the last point of the table."""
_FEWEST = 20
"""Pairs that a point must rest on: among the few most similar pairs, some show one person under two names."""


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
    file = resources.files("sightd.plugins.face").joinpath(f"{model}.csv")
    if not file.is_file():
        return None
    rows = list(csv.DictReader(line for line in file.read_text().splitlines() if not line.startswith("#")))
    cosines, fmrs, fnmrs, pairs = (
        np.array([float(row[name]) for row in rows]) for name in ("cosine", "fmr", "fnmr", "pairs")
    )
    sure = pairs >= _FEWEST
    return Calibration(cosines[sure], fmrs[sure], cosines, fnmrs)
