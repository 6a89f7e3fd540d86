"""A painting of the working size brought to the frame's, with the frame's own edges.

Fast guided filter (He and Sun 2015, arXiv 1505.00996): within a small window the painting is taken for a linear
function of the picture's grey; its two numbers are enlarged, and the large picture put into it. Strokes stay, edges
become sharp.
"""

from __future__ import annotations

import cv2
import numpy as np

from plugins.types import FloatArray, Image

_WINDOW = (5, 5)
_SMOOTH = 60.0
"""Variance of grey levels below which the picture has no edge to follow."""


def enlarged(paint: FloatArray, source: Image, grey_small: Image) -> FloatArray:
    """Float32 [H, W, 3] 0-255 of the size of `source` (BGR uint8); `paint` float32 [h, w, 3] and `grey_small` uint8
    [h, w] are of the working size."""
    height, width = source.shape[:2]
    if paint.shape[:2] == (height, width):
        return paint
    guide = grey_small.astype(np.float32)
    mean_guide, mean = _blurred(guide), _blurred(paint)
    variance = _blurred(guide * guide) - mean_guide * mean_guide
    shared = _blurred(np.asarray(guide[:, :, None] * paint, np.float32)) - mean_guide[:, :, None] * mean
    slope = np.asarray(shared / (variance + np.float32(_SMOOTH))[:, :, None], np.float32)
    offset = mean - slope * mean_guide[:, :, None]
    rest = paint - (slope * guide[:, :, None] + offset)  # strokes, of which the picture knows nothing
    size = (width, height)
    large = np.asarray(cv2.cvtColor(source, cv2.COLOR_BGR2GRAY), np.float32)[:, :, None]
    result: FloatArray = cv2.resize(_blurred(slope), size) * large + cv2.resize(_blurred(offset) + rest, size)
    return np.clip(result, 0, 255, out=result)


def _blurred(image: FloatArray) -> FloatArray:
    blurred: FloatArray = cv2.blur(image, _WINDOW)  # type: ignore[assignment]
    return blurred
