"""Face samples: everything computed from each face of an image before it is identified."""

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
