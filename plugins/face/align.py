"""Aligns faces for embedders: 112 x 112 pixels, upright, with the eyes at fixed positions."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.engines.similarity import ARCFACE, similarity
from sightd.plugins.face.face_samples import CROP
from sightd.plugins.types import FloatArray, Image


def aligned(image: Image, landmarks: FloatArray) -> NDArray[np.uint8]:
    """Returns the face [CROP, CROP, 3] BGR with the five points [5, 2], in pixels of the image; black beyond its edges.

    Raises ValueError if the points coincide or are not finite.
    """
    transform = similarity(landmarks, ARCFACE)
    return np.asarray(cv2.warpAffine(image, transform, (CROP, CROP), flags=cv2.INTER_LINEAR), np.uint8)
