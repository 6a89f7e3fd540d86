"""Made-up people whose looks are as alike as those of the calibration table: random directions with a part that all
faces share, a part that is the person's, and a part that is the look's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sightd.plugins.face.looks import DIMENSIONS
from sightd.plugins.types import FloatArray

Vectors = NDArray[np.float64]
SHARED = 0.09
"""Mean cosine of strangers."""
OWN = 0.70
"""Of what is not shared, the part that a person's looks have in common: cosine 0.73 in the mean."""


class People:
    """`count` people; `looks` are drawn from a seeded generator."""

    def __init__(self, count: int, seed: int = 0) -> None:
        self._random = np.random.default_rng(seed)
        self._shared = _unit(self._random.normal(size=DIMENSIONS))
        self._own = _unit(self._random.normal(size=(count, DIMENSIONS)))

    def __len__(self) -> int:
        return len(self._own)

    def looks(self, person: int, count: int, *, alike: float = 0.0) -> FloatArray:
        """float32 [count, DIMENSIONS] of length 1; `alike` is how much of a look's noise it has from the one before."""
        noise = self._random.normal(size=(count, DIMENSIONS))
        for n in range(1, count):
            noise[n] = alike * noise[n - 1] + np.sqrt(1 - alike**2) * noise[n]
        of_look = np.sqrt(1 - SHARED) * (np.sqrt(OWN) * self._own[person] + np.sqrt(1 - OWN) * _unit(noise))
        return _unit(np.sqrt(SHARED) * self._shared + of_look).astype(np.float32)

    def one_look_each(self) -> FloatArray:
        """float32 [n, DIMENSIONS]."""
        return np.concatenate([self.looks(person, 1) for person in range(len(self))])


def _unit(
    vectors: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    scaled: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = vectors / np.linalg.norm(
        vectors, axis=-1, keepdims=True
    )
    return scaled
