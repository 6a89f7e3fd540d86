"""Rates how suitable a face is for recognition: large, sharp, frontal, certainly a face, and of known orientation.

Each factor is 0-1; the total is their product. A poor face still resembles its own person and nobody else if the other
picture is good, so little suffices to compare it. Poor faces resemble each other, so more is required to enrol one or
to remember a stranger. `python -m bench.face_quality` measures both.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.plugins.api import FloatArray
from sightd.plugins.face.matching.matcher import Quality
from sightd.plugins.face.upright import UprightFaces

TELLING = 0.5
"""Total from which on a look shows that somebody is a stranger, and can stand for them later."""
_SMALL, _LARGE = 5.0, 18.0
"""Distance of the eyes, in pixels of the source, at which a face is useless, and from which on size no longer matters.
At 12 pixels 96 % of looks are recognised, at 10 90 %, at 7 60 %."""
_BLURRED, _SHARP = 0.335, 0.48
"""Fine details relative to coarse ones (see `_details`). Sharp photographs have 0.6-0.77; blurred by two pixels of the
aligned face, which costs 4 % of the looks, 0.42-0.5; by three (13 %) 0.36-0.42; by four (52 %) 0.34-0.38. Faces whose
eyes were 5 pixels apart before they were enlarged have 0.37-0.43."""
_DOUBTFUL, _SURE = 0.6, 0.85
"""Detector scores: below the first nothing is recognised reliably, from the second on the score no longer matters."""
_FRONTAL = 0.35
"""Frontality from which on it no longer matters: heads turned by half, which resemble nobody else."""
_PROFILE = 0.2
"""Factor of a profile: it resembles nobody else either, but hardly the person's own portrait."""
_ENOUGH = 0.7
"""The same for the other factors."""
_FLAT = 0.3
"""Standard deviation of details, in grey levels, of a surface without any."""
_FULL_FACE = np.s_[16:104, 12:100]
"""The part of an aligned face without background."""


def quality_of(crops: NDArray[np.uint8], faces: UprightFaces) -> Quality:
    """Rates aligned faces uint8 [n, 112, 112, 3] BGR. A face of unknown orientation has a total of 0."""
    landmarks, scores = faces.landmarks, faces.scores
    eyes = np.linalg.norm(landmarks[:, 0] - landmarks[:, 1], axis=1).astype(np.float32)
    sharpness = np.array([_ramp(_details(crop), _BLURRED, _SHARP) for crop in crops], np.float32).reshape(-1)
    frontality = frontality_of(landmarks)
    sure = 0.5 + _ramp(scores, _DOUBTFUL, _SURE) / 2
    turned = _PROFILE + (1 - _PROFILE) * _capped(frontality, _FRONTAL)
    totals = size_factor(landmarks) * _capped(sharpness, _ENOUGH) * turned * sure * faces.known
    return Quality(
        eyes, sharpness, frontality, scores.astype(np.float32), faces.known, totals.astype(np.float32, copy=False)
    )


def size_factor(landmarks: FloatArray) -> FloatArray:
    """Returns the factor for the size of faces with these landmarks [n, 5, 2], float32 [n]: 0 if they are too small to
    be recognised."""
    eyes = np.linalg.norm(landmarks[:, 0] - landmarks[:, 1], axis=1).astype(np.float32)
    return _capped(_ramp(eyes, _SMALL, _LARGE), _ENOUGH)


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
    """Returns the standard deviation of details between one and two pixels, relative to that of details between two and
    four. This cancels contrast and brightness, and how rich in details a face is; noise and rounding are finer."""
    grey = cv2.cvtColor(crop[_FULL_FACE], cv2.COLOR_BGR2GRAY).astype(np.float32)
    one, two, four = (cv2.GaussianBlur(grey, (0, 0), sigma) for sigma in (1, 2, 4))
    coarse = float((two - four).std())
    return float((one - two).std()) / coarse if coarse > _FLAT else 0.0


def _ramp(value: FloatArray | float, low: float, high: float) -> FloatArray:
    rising: FloatArray = np.clip((np.asarray(value, np.float32) - low) / (high - low), 0, 1).astype(np.float32)
    return rising


def _falling(value: FloatArray, full: float, none: float) -> FloatArray:
    return _ramp(-value, -none, -full)


def _capped(part: FloatArray, enough: float) -> FloatArray:
    """Scales a factor so that it is 1 from `enough` on."""
    capped: FloatArray = np.minimum(1, part / np.float32(enough))
    return capped
