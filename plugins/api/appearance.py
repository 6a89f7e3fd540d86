"""How objects look, and which objects of several cameras are the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sightd.plugins.api.frame import FloatArray, IntArray

_LENGTH_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Appearances:
    """How detected objects look: vectors that are similar for images of the same object, one row per object that was
    embedded on this frame.

    detection int64 [m]: the object's row in this frame's `Detections`, each at most once · vectors float32 [m, d] of
    unit length. Only vectors of the same `model` can be compared.
    """

    detection: IntArray
    vectors: FloatArray
    model: str

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.detection):
            raise ValueError(
                f"Appearances.vectors has the shape {list(self.vectors.shape)}, expected [{len(self.detection)}, d]"
            )
        if not (np.abs(np.linalg.norm(self.vectors, axis=1) - 1) <= _LENGTH_TOLERANCE).all():
            raise ValueError("Appearances.vectors are not of unit length")

    def __len__(self) -> int:
        return len(self.detection)


@dataclass(frozen=True, slots=True, eq=False)
class Identities:
    """Which tracks are the same object as others on any camera of their group, one row per track whose identity is
    decided.

    tracks int64 [m]: ids of this frame's `Tracks`, each once · numbers int64 [m]: the identities, from 1, each once: an
    object has the same one on all cameras of `group`.
    """

    tracks: IntArray
    numbers: IntArray
    group: str

    def __post_init__(self) -> None:
        if self.tracks.shape != self.numbers.shape or self.tracks.ndim != 1:
            raise ValueError(
                f"Identities.numbers has the shape {list(self.numbers.shape)}, expected {list(self.tracks.shape)}"
            )

    def __len__(self) -> int:
        return len(self.tracks)

    def by_track(self) -> dict[int, int]:
        """Returns the identity of each track."""
        return dict(zip(self.tracks.tolist(), self.numbers.tolist(), strict=True))
