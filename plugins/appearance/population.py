"""How similar the looks of different objects are: learnt from objects that are in sight at the same time, so no
embedder needs a threshold of its own, and where all objects look alike, looks must agree more."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sightd.plugins.api import BoolArray, FloatArray

_ENOUGH_LOOKS, _ENOUGH_PAIRS = 8, 30
"""Vectors, and pairs of different objects, that must have been seen before vectors are compared."""
_MOST_LOOKS, _MOST_PAIRS = 200, 1000
"""Older ones count less from so many on."""
NEW_LOOKS = 5
"""Only the first vectors of an object are to be learnt from, so that one which stays for hours does not count more than
others."""


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """The mean vector of all objects float32 [d], of how many `looks`, and the mean and variance of the cosine of
    `pairs` of different objects, with vectors taken relative to that mean: what all objects have in common, such as the
    light and the shape of a person, does not make two of them alike. Immutable."""

    looks: int = 0
    centre: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))
    pairs: int = 0
    mean: float = 0.0
    variance: float = 0.0

    def learnt(self, newest: FloatArray, others: FloatArray, different: BoolArray) -> Population:
        """Returns the population with the vectors `newest` [n, d] of some objects. `different` [n, m] says which of the
        objects with the vectors `others` [m, d] are in sight at the same time and other ones, of the same kind."""
        looks, centre = self.looks, self.centre if self.looks else np.zeros(newest.shape[1], np.float32)
        for vector in newest:
            looks += 1
            centre = centre + (vector - centre) / np.float32(min(looks, _MOST_LOOKS))
        similar = (_centred(newest, centre) @ _centred(others, centre).T)[different]
        if not len(similar) or looks < _ENOUGH_LOOKS:
            return Population(looks, centre, self.pairs, self.mean, self.variance)
        return Population(looks, centre, self.pairs + len(similar), *self._with(similar))

    def deviations(self, some: FloatArray, others: FloatArray) -> NDArray[np.float64]:
        """Returns how alike vectors [n, d] and [m, d] are: by how many standard deviations [n, m] more than those of
        different objects; minus infinity until enough of them were seen."""
        if self.looks < _ENOUGH_LOOKS or self.pairs < _ENOUGH_PAIRS or not len(some) or not len(others):
            return np.full((len(some), len(others)), -np.inf)
        similar = (_centred(some, self.centre) @ _centred(others, self.centre).T).astype(np.float64)
        found: NDArray[np.float64] = (similar - self.mean) / np.sqrt(max(self.variance, 1e-6))
        return found

    def _with(self, similar: FloatArray) -> tuple[float, float]:
        """Returns mean and variance with further similarities (Chan et al. 1983, eq. 2.1)."""
        old, count = min(self.pairs, _MOST_PAIRS), len(similar)
        total, apart = old + count, float(similar.mean()) - self.mean
        variance = (old * self.variance + count * float(similar.var())) / total + apart**2 * old * count / total**2
        return self.mean + apart * count / total, variance


def _centred(vectors: FloatArray, centre: FloatArray) -> FloatArray:
    """Returns vectors of unit length relative to the mean; zero if they are equal to it."""
    relative = vectors - centre
    unit: FloatArray = relative / np.maximum(np.linalg.norm(relative, axis=1, keepdims=True), 1e-6)
    return unit
