"""Finds the most similar person in the gallery, with one matrix product for all faces of a batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightd.plugins.api import FloatArray
from sightd.plugins.face.matching.evidence import Match


@dataclass(frozen=True, slots=True, eq=False)
class Enrolled:
    """All faces of one model: embeddings float32 [m, DIMENSIONS], grouped by person; `owners` int64 [m] are the
    persons' ids, ascending; `names` by id; `generation` of the gallery."""

    embeddings: FloatArray
    owners: NDArray[np.int64]
    names: dict[int, str]
    generation: int


class Matcher:
    """The faces of one model at one time. Immutable and thread-safe."""

    def __init__(self, enrolled: Enrolled) -> None:
        self.names = enrolled.names
        self.generation = enrolled.generation
        persons, counts = np.unique(enrolled.owners, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        self._persons = persons[order]
        # Ordered as the first face of each person, then the second of each person who has two, and so on, so that the
        # maximum per person is computed over a few long rows instead of many short ones.
        rank = np.arange(len(enrolled.owners)) - np.repeat(np.cumsum(counts) - counts, counts)
        place = np.repeat(np.argsort(order), counts)
        self._embeddings = np.ascontiguousarray(enrolled.embeddings[np.lexsort((place, rank))])
        self._ranks = np.bincount(rank).tolist()

    @property
    def persons(self) -> int:
        """Number of persons with a face of this model."""
        return len(self._persons)

    @property
    def embeddings(self) -> int:
        return len(self._embeddings)

    def match(self, embeddings: FloatArray) -> list[Match]:
        """Returns the most similar person for each row of float32 [n, d], unit length, and the next similarity."""
        if not self.persons or not len(embeddings):
            return [Match(None, float("nan"), float("nan"))] * len(embeddings)
        cosines = embeddings @ self._embeddings.T
        best, start = cosines[:, : self.persons], self.persons
        for count in self._ranks[1:]:
            np.maximum(best[:, :count], cosines[:, start : start + count], out=best[:, :count])
            start += count
        return [self._best(row) for row in best]

    def _best(self, cosines: FloatArray) -> Match:
        """Picks the best of the cosines [persons]; overwrites its argument."""
        best = int(cosines.argmax())
        similarity = float(cosines[best])
        cosines[best] = -np.inf
        following = float(cosines.max()) if len(cosines) > 1 else -1.0
        return Match(int(self._persons[best]), similarity, following)
