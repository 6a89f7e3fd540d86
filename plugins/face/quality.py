"""Rates how suitable a face is for recognition: large, sharp, frontal, certainly a face, and of known orientation.

Each factor is 0-1, and 0.5 where recognition begins to suffer. The total is their product, with size, sharpness and
frontality capped so that one bad factor cannot be compensated by the others.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.plugins.api import FloatArray
from sightd.plugins.face.matching.matcher import Quality
from sightd.plugins.face.upright import UprightFaces

_SMALL, _LARGE = 10.0, 40.0
"""Distance of the eyes, in pixels of the source, at which a face is useless, and from which on size no longer matters;
the aligned face has 35."""
_BLURRED, _SHARP = 0.03, 0.1
"""Share of a face's contrast that is in its finest details (see `_details`). Sharp photographs have 0.12-0.2; blurred
by one pixel of the aligned face they have 0.06-0.1, by two 0.03-0.06, by three 0.02-0.045."""
_SURE = 0.9
"""Detector score from which on it no longer matters."""
_FULL_FACE = np.s_[16:104, 12:100]
"""The part of an aligned face without background."""


def quality_of(crops: NDArray[np.uint8], faces: UprightFaces) -> Quality:
    """Rates aligned faces uint8 [n, 112, 112, 3] BGR. A face of unknown orientation has a total of 0."""
    landmarks, scores = faces.landmarks, faces.scores
    eyes = np.linalg.norm(landmarks[:, 0] - landmarks[:, 1], axis=1).astype(np.float32)
    sharpness = np.array([_ramp(_details(crop), _BLURRED, _SHARP) for crop in crops], np.float32).reshape(-1)
    frontality = frontality_of(landmarks)
    size = _ramp(eyes, _SMALL, _LARGE)
    sure = np.clip(scores / _SURE, 0, 1)
    totals = (_capped(size) * _capped(sharpness) * _capped(frontality) * sure * faces.known).astype(np.float32)
    return Quality(eyes, sharpness, frontality, scores.astype(np.float32), faces.known, totals)


def frontality_of(landmarks: FloatArray) -> FloatArray:
    """Returns 1 for a face looking into the camera, 0 for a profile; float32 [n].

    In an upright, frontal face the tip of the nose lies between the eyes, half-way down to the mouth. Its sideways
    offset, as a share of half the distance of the eyes, is roughly the sine of the yaw. Its vertical offset from
    half-way, relative to half the distance from the eyes to the mouth, indicates the pitch.
    """
    right, left, nose = landmarks[:, 0], landmarks[:, 1], landmarks[:, 2]
    eyes, mouth = (right + left) / 2, (landmarks[:, 3] + landmarks[:, 4]) / 2
    across, down = left - right, mouth - eyes
    width = np.maximum(np.linalg.norm(across, axis=1), 1e-6)
    height = np.maximum(np.linalg.norm(down, axis=1), 1e-6)
    yaw = np.abs(((nose - (eyes + mouth) / 2) * across).sum(axis=1)) / width / (width / 2)
    pitch = np.abs(((nose - eyes) * down).sum(axis=1) / height / height - 0.55) / 0.45
    narrow = np.clip((width / height - 0.35) / 0.35, 0, 1)  # in profile the eyes are closer together
    frontal: FloatArray = (_falling(yaw, 0.3, 1.0) * _falling(pitch, 0.35, 1.0) * narrow).astype(np.float32)
    return frontal


def _details(crop: NDArray[np.uint8]) -> float:
    """Returns the standard deviation of what a blur of one pixel removes, as a share of the face's. This cancels
    contrast and brightness, and also rounding to bytes, which a Laplacian would take for details."""
    grey = cv2.cvtColor(crop[_FULL_FACE], cv2.COLOR_BGR2GRAY).astype(np.float32)
    contrast = float(grey.std())
    fine = float((grey - cv2.GaussianBlur(grey, (0, 0), 1)).std())
    return fine / contrast if contrast > 1 else 0.0


def _ramp(value: FloatArray | float, low: float, high: float) -> FloatArray:
    rising: FloatArray = np.clip((np.asarray(value, np.float32) - low) / (high - low), 0, 1).astype(np.float32)
    return rising


def _falling(value: FloatArray, full: float, none: float) -> FloatArray:
    return _ramp(-value, -none, -full)


def _capped(part: FloatArray) -> FloatArray:
    """Scales a factor so that it is 1 from 0.7 on."""
    capped: FloatArray = np.minimum(1, part / np.float32(0.7))
    return capped
