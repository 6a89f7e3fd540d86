"""Faces brought to the form in which embedders know them: 112 x 112 pixels, upright, the eyes at the same place."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.engines.similarity import ARCFACE, similarity
from sightd.plugins.face.looks import CROP
from sightd.plugins.types import FloatArray, Image


def aligned(image: Image, landmarks: FloatArray) -> NDArray[np.uint8]:
    """The face [CROP, CROP, 3] BGR of five points [5, 2] in pixels of the image; black where the image ends.

    ValueError where the points coincide or are no numbers.
    """
    transform = similarity(landmarks, ARCFACE)
    return np.asarray(cv2.warpAffine(image, transform, (CROP, CROP), flags=cv2.INTER_LINEAR), np.uint8)
