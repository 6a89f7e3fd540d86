"""Made-up people whose embeddings are as similar as those of the calibration table: random directions with a part that
all faces share, a part per person, and a part per sample."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sightd.plugins.api import FloatArray
from sightd.plugins.face.matching.matcher import DIMENSIONS

Vectors = NDArray[np.float64]
SHARED = 0.09
"""Mean cosine between different people."""
OWN = 0.70
"""Fraction of the unshared part that a person's samples have in common: a mean cosine of 0.73."""


class People:
    """`count` people; their embeddings come from a seeded generator."""

    def __init__(self, count: int, seed: int = 0) -> None:
        self._random = np.random.default_rng(seed)
        self._shared = _unit(self._random.normal(size=DIMENSIONS))
        self._own = _unit(self._random.normal(size=(count, DIMENSIONS)))

    def __len__(self) -> int:
        return len(self._own)

    def looks(self, person: int, count: int, *, alike: float = 0.0) -> FloatArray:
        """Returns unit embeddings, float32 [count, DIMENSIONS]; `alike` is the fraction of noise that each shares with
        the previous one."""
        noise = self._random.normal(size=(count, DIMENSIONS))
        for n in range(1, count):
            noise[n] = alike * noise[n - 1] + np.sqrt(1 - alike**2) * noise[n]
        of_look = np.sqrt(1 - SHARED) * (np.sqrt(OWN) * self._own[person] + np.sqrt(1 - OWN) * _unit(noise))
        return _unit(np.sqrt(SHARED) * self._shared + of_look).astype(np.float32)

    def one_look_each(self) -> FloatArray:
        """Returns one embedding per person, float32 [n, DIMENSIONS]."""
        return np.concatenate([self.looks(person, 1) for person in range(len(self))])


def _unit(
    vectors: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    scaled: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = vectors / np.linalg.norm(
        vectors, axis=-1, keepdims=True
    )
    return scaled
