"""Draws faces and names, and computes the regions to redact."""

from __future__ import annotations

from typing import Literal

import numpy as np

from sightd.plugins.types import BoolArray, Canvas, Faces, FloatArray

_KNOWN, _UNKNOWN = (110, 220, 120), (190, 190, 190)
"""BGR."""
_AROUND = (0.25, 0.35)
"""Margin redacted around a face's box, as shares of its width and height: hair and chin are revealing."""


def draw(canvas: Canvas, faces: Faces, *, names: bool) -> None:
    """Draws a box around each face, with the name if it is known."""
    for row in range(len(faces)):
        identity = faces.identities[row]
        label = (identity or "") if names else ""
        canvas.box(faces.boxes[row], _KNOWN if identity else _UNKNOWN, label)


def hidden(
    faces: Faces, whose: Literal["all", "unknown", "known", "none"], undecided: BoolArray, others: FloatArray
) -> FloatArray:
    """Returns the regions to redact, boxes xyxy float32 [n, 4] px, somewhat larger than the faces: the faces selected
    by `whose`, those `undecided` (bool [n]) and unnamed unless `whose` is "none", and all `others` (float32 [m, 4])."""
    known = np.array([identity is not None for identity in faces.identities], np.bool_)
    chosen = {"all": np.ones_like(known), "unknown": ~known, "known": known, "none": np.zeros_like(known)}[whose]
    if whose != "none":
        chosen = chosen | (undecided & ~known)
    boxes = np.concatenate((faces.boxes[chosen], others))
    around = (boxes[:, 2:] - boxes[:, :2]) * np.array(_AROUND, np.float32)
    wider: FloatArray = np.concatenate((boxes[:, :2] - around, boxes[:, 2:] + around), axis=1).astype(np.float32)
    return wider
