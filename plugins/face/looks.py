"""Looks: what can be said of each face on one picture, before anybody is asked who it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightd.plugins.types import BoolArray, FloatArray, check_lengths

DIMENSIONS = 128
"""Of SFace's embeddings."""
CROP = 112
"""Pixels each way of an aligned face."""


@dataclass(frozen=True, slots=True, eq=False)
class Quality:
    """How fit faces are to be recognised, one row a face, float32 [n] each.

    sizes: distance of the eyes in pixels of the source · sharpness: 0 (blurred) to 1 · frontality: 0 (profile) to 1 ·
    scores: the detector's, 0-1, of the face turned upright · upright: bool [n], whether it is known which way up the
    face is · totals: all in one, 0-1.
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
class Looks:
    """The faces of one picture, best score first.

    boxes xyxy float32 [n, 4] px · landmarks float32 [n, 5, 2] px, as in `plugins.types.Faces` · embeddings float32
    [n, DIMENSIONS], each of length 1 · crops uint8 [n, CROP, CROP, 3] BGR, aligned.
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
        """The detector's, 0-1, of the face turned upright."""
        return self.quality.scores
