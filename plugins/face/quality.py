"""How fit a face is to be recognised: large, sharp, turned to the camera, surely a face, and known to be upright.

Each part is 0-1, 0.5 where recognition begins to suffer; the total is the product of them, each taken no higher than
it matters, so that one thing that is wrong cannot be made up for by another.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.plugins.face.looks import Quality
from sightd.plugins.face.upright import UprightFaces
from sightd.plugins.types import FloatArray

_SMALL, _LARGE = 10.0, 40.0
"""Distance of the eyes in pixels of the source at which a face is of no use, and from which on size does not matter:
the aligned face has 35."""
_BLURRED, _SHARP = 0.03, 0.1
"""Share of a face's contrast in its finest details (see `_details`). Sharp photographs have 0.12-0.2; blurred by one
pixel of the aligned face they have 0.06-0.1, by two 0.03-0.06, by three 0.02-0.045."""
_SURE = 0.9
"""Score of the detector from which on it does not matter."""
_FULL_FACE = np.s_[16:104, 12:100]
"""Of an aligned face: without background."""


def quality_of(crops: NDArray[np.uint8], faces: UprightFaces) -> Quality:
    """Of aligned faces uint8 [n, 112, 112, 3] BGR. A face of which it is not known which way up it is has none."""
    landmarks, scores = faces.landmarks, faces.scores
    eyes = np.linalg.norm(landmarks[:, 0] - landmarks[:, 1], axis=1).astype(np.float32)
    sharpness = np.array([_ramp(_details(crop), _BLURRED, _SHARP) for crop in crops], np.float32).reshape(-1)
    frontality = frontality_of(landmarks)
    size = _ramp(eyes, _SMALL, _LARGE)
    sure = np.clip(scores / _SURE, 0, 1)
    totals = (_capped(size) * _capped(sharpness) * _capped(frontality) * sure * faces.known).astype(np.float32)
    return Quality(eyes, sharpness, frontality, scores.astype(np.float32), faces.known, totals)


def frontality_of(landmarks: FloatArray) -> FloatArray:
    """1 where the face looks into the camera, 0 in profile; float32 [n].

    Upright, the tip of the nose lies between the eyes and half way down to the mouth. How far it is off to one side,
    as a share of half the distance of the eyes, is the sine of the yaw, roughly; how far it is from half way, twice the
    share of the way from the eyes to the mouth, tells the pitch.
    """
    right, left, nose = landmarks[:, 0], landmarks[:, 1], landmarks[:, 2]
    eyes, mouth = (right + left) / 2, (landmarks[:, 3] + landmarks[:, 4]) / 2
    across, down = left - right, mouth - eyes
    width = np.maximum(np.linalg.norm(across, axis=1), 1e-6)
    height = np.maximum(np.linalg.norm(down, axis=1), 1e-6)
    yaw = np.abs(((nose - (eyes + mouth) / 2) * across).sum(axis=1)) / width / (width / 2)
    pitch = np.abs(((nose - eyes) * down).sum(axis=1) / height / height - 0.55) / 0.45
    narrow = np.clip((width / height - 0.35) / 0.35, 0, 1)  # in profile the eyes come together
    frontal: FloatArray = (_falling(yaw, 0.3, 1.0) * _falling(pitch, 0.35, 1.0) * narrow).astype(np.float32)
    return frontal


def _details(crop: NDArray[np.uint8]) -> float:
    """Standard deviation of what a blur of one pixel takes away, as a share of that of the face: contrast and light
    fall out, and so does the rounding to bytes, which a Laplacian would take for details."""
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
    """From one half on a part is nearly good enough."""
    capped: FloatArray = np.minimum(1, part / np.float32(0.7))
    return capped
