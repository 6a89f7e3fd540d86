"""How the tracks of a camera look, as far as the plug-in `appearance` has embedded them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from sightd.plugins.api import FloatArray
from sightd.plugins.appearance.population import Population

_NEWEST = 0.2
"""Least weight of the newest vector in a mean."""


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """The mean of an object's vectors, float32 [d] of unit length, and how many there were."""

    vector: FloatArray
    count: int = 1

    def with_newest(self, vector: FloatArray) -> Look:
        mean = self.vector + np.float32(max(_NEWEST, 1 / (self.count + 1))) * (vector - self.vector)
        return Look((mean / max(float(np.linalg.norm(mean)), 1e-6)).astype(np.float32), self.count + 1)


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """The looks of tracks by their number (column LOOK), all by `model`, the next free number, and how similar
    different objects are. Immutable; replaced as a whole."""

    model: str
    by_number: Mapping[int, Look] = field(default_factory=dict)
    next_number: int = 1
    population: Population = field(default_factory=Population)

    def with_vectors(self, numbers: Collection[int], vectors: FloatArray) -> Looks:
        """Returns the looks with a further vector [n, d] for each of these numbers."""
        added = dict(self.by_number)
        for number, vector in zip(numbers, vectors, strict=True):
            known = added.get(number)
            added[number] = Look(vector) if known is None else known.with_newest(vector)
        return replace(self, by_number=added)

    def only(self, numbers: Collection[int]) -> Looks:
        """Returns the looks without those of other numbers."""
        kept = set(numbers)
        return replace(self, by_number={number: look for number, look in self.by_number.items() if number in kept})

    def vectors(self, numbers: Collection[int]) -> FloatArray:
        """Returns the mean vectors [n, d]; zeros for numbers without a look, which can be compared with nothing."""
        known = [self.by_number.get(number) for number in numbers]
        width = next((len(look.vector) for look in self.by_number.values()), len(self.population.centre))
        found = np.zeros((len(known), width), np.float32)
        for row, look in enumerate(known):
            if look is not None:
                found[row] = look.vector
        return found
