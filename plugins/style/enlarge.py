"""Upscales a painting from the working size to the frame's size, following the frame's own edges.

Fast guided filter (He and Sun 2015, arXiv 1505.00996): within a small window the painting is modelled as a linear
function of the image's grey level. The two coefficients are upscaled and applied to the full-size image. Strokes are
preserved and edges become sharp.
"""

from __future__ import annotations

import cv2
import numpy as np

from sightd.plugins.types import FloatArray, Image

_WINDOW = (5, 5)
_SMOOTH = 60.0
"""Variance of grey levels below which the image has no edge to follow."""


def enlarged(paint: FloatArray, source: Image, grey_small: Image) -> FloatArray:
    """Returns float32 [H, W, 3] 0-255 in the size of `source` (BGR uint8). `paint` float32 [h, w, 3] and `grey_small`
    uint8 [h, w] have the working size."""
    height, width = source.shape[:2]
    if paint.shape[:2] == (height, width):
        return paint
    planes = strokes(paint, grey_small)
    large = np.asarray(cv2.cvtColor(source, cv2.COLOR_BGR2GRAY), np.float32)[:, :, None]
    slope, offset = (cv2.resize(part, (width, height)) for part in (planes[:, :, :3], planes[:, :, 3:]))
    result: FloatArray = slope * large + offset
    return np.clip(result, 0, 255, out=result)


def strokes(paint: FloatArray, grey_small: Image) -> FloatArray:
    """Fits the painting as a linear function of grey: float32 [h, w, 6], the slopes of blue, green and red, then their
    offsets (0-255), to be upscaled."""
    guide = grey_small.astype(np.float32)
    mean_guide, mean = _blurred(guide), _blurred(paint)
    variance = _blurred(guide * guide) - mean_guide * mean_guide
    shared = _blurred(np.asarray(guide[:, :, None] * paint, np.float32)) - mean_guide[:, :, None] * mean
    slope = np.asarray(shared / (variance + np.float32(_SMOOTH))[:, :, None], np.float32)
    offset = mean - slope * mean_guide[:, :, None]
    rest = paint - (slope * guide[:, :, None] + offset)  # strokes, which the image does not explain
    return np.concatenate((_blurred(slope), _blurred(offset) + rest), axis=2)


def _blurred(image: FloatArray) -> FloatArray:
    blurred: FloatArray = cv2.blur(image, _WINDOW)  # type: ignore[assignment]
    return blurred
