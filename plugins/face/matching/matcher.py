"""What is computed of each face before it is identified, and the most similar person in the gallery, which takes one
matrix product for all faces of a batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightd.plugins.api import BoolArray, FloatArray, check_lengths

DIMENSIONS = 128
"""Length of SFace's embeddings."""
CROP = 112
"""Side of an aligned face in pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Quality:
    """How suitable faces are for recognition, one row per face, float32 [n] each.

    sizes: distance of the eyes in pixels of the source · sharpness: 0 (blurred) to 1 · frontality: 0 (profile) to 1 ·
    scores: the detector's, 0-1, of the face turned upright · upright: bool [n], whether the orientation of the face is
    known · totals: all combined, 0-1.
    """

    sizes: FloatArray
    sharpness: FloatArray
    frontality: FloatArray
    scores: FloatArray
    upright: BoolArray
    totals: FloatArray

    def __post_init__(self) -> None:
        check_lengths(self, "sizes", "sharpness", "frontality", "scores", "upright", "totals")


@dataclass(frozen=True, slots=True, eq=False)
class FaceSamples:
    """The faces of one image, best score first.

    boxes xyxy float32 [n, 4] px · landmarks float32 [n, 5, 2] px, as in `plugins.api.Faces` · embeddings float32
    [n, DIMENSIONS], each of unit length · crops uint8 [n, CROP, CROP, 3] BGR, aligned.
    """

    boxes: FloatArray
    landmarks: FloatArray
    quality: Quality
    embeddings: FloatArray
    crops: NDArray[np.uint8]

    def __post_init__(self) -> None:
        check_lengths(self, "boxes", "landmarks", "embeddings", "crops")

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def scores(self) -> FloatArray:
        """The detector's scores, 0-1, of the faces turned upright."""
        return self.quality.scores


@dataclass(frozen=True, slots=True)
class Match:
    """The person most similar to an embedding: their id, the cosine, and the cosine of the next person (-1 if there is
    none). In an empty gallery the id is None and both cosines are NaN."""

    person: int | None
    similarity: float
    next_similarity: float

    @property
    def margin(self) -> float:
        return self.similarity - self.next_similarity


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
