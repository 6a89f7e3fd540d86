"""A painting of the working size brought to the frame's, with the frame's own edges.

Fast guided filter (He and Sun 2015, arXiv 1505.00996): within a small window the painting is taken for a linear
function of the picture's grey; its two numbers are enlarged, and the large picture put into it. Strokes stay, edges
become sharp.
"""

from __future__ import annotations

import cv2
import numpy as np

from sightd.plugins.types import FloatArray, Image

_WINDOW = (5, 5)
_SMOOTH = 60.0
"""Variance of grey levels below which the picture has no edge to follow."""


def enlarged(paint: FloatArray, source: Image, grey_small: Image) -> FloatArray:
    """Float32 [H, W, 3] 0-255 of the size of `source` (BGR uint8); `paint` float32 [h, w, 3] and `grey_small` uint8
    [h, w] are of the working size."""
    height, width = source.shape[:2]
    if paint.shape[:2] == (height, width):
        return paint
    planes = strokes(paint, grey_small)
    large = np.asarray(cv2.cvtColor(source, cv2.COLOR_BGR2GRAY), np.float32)[:, :, None]
    slope, offset = (cv2.resize(part, (width, height)) for part in (planes[:, :, :3], planes[:, :, 3:]))
    result: FloatArray = slope * large + offset
    return np.clip(result, 0, 255, out=result)


def strokes(paint: FloatArray, grey_small: Image) -> FloatArray:
    """What the painting is of the picture's grey, float32 [h, w, 6]: slopes of blue, green and red, then their offsets,
    in 0-255, to be enlarged."""
    guide = grey_small.astype(np.float32)
    mean_guide, mean = _blurred(guide), _blurred(paint)
    variance = _blurred(guide * guide) - mean_guide * mean_guide
    shared = _blurred(np.asarray(guide[:, :, None] * paint, np.float32)) - mean_guide[:, :, None] * mean
    slope = np.asarray(shared / (variance + np.float32(_SMOOTH))[:, :, None], np.float32)
    offset = mean - slope * mean_guide[:, :, None]
    rest = paint - (slope * guide[:, :, None] + offset)  # strokes, of which the picture knows nothing
    return np.concatenate((_blurred(slope), _blurred(offset) + rest), axis=2)


def _blurred(image: FloatArray) -> FloatArray:
    blurred: FloatArray = cv2.blur(image, _WINDOW)  # type: ignore[assignment]
    return blurred
