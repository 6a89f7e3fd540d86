"""Cuts the image that is sent out of a frame, without what must not be recognised."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from sightd.plugins.api import Image, PrivacyMask

_GREY = 128
_LEAST_VISIBLE = 0.1
"""An image of which a smaller share is visible is not worth a request."""


def crop_of(
    image: Image, box: Sequence[float], margin: float, max_side: int, hidden: PrivacyMask | None
) -> Image | None:
    """Returns `box` (xyxy, px) of an image with `margin` around it, a fraction of its longer side, scaled down so that
    neither side exceeds `max_side`. A new array; BGR uint8 [height, width, 3].

    The regions of `hidden` are grey in it, before it is scaled. Returns None if they leave too little of it, or if it
    is outside the image.
    """
    left, top, right, bottom = _with_margin(box, margin, image.shape[1], image.shape[0])
    if left >= right or top >= bottom:
        return None
    crop: Image = image[top:bottom, left:right]
    if hidden is not None:
        crop = crop.copy()
        if _hide(crop, hidden, left, top) < _LEAST_VISIBLE:
            return None
    return _scaled(crop, max_side)


def jpeg_of(image: Image, quality: int) -> bytes:
    """Returns an image as JPEG, without metadata."""
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return data.tobytes()


def _with_margin(box: Sequence[float], margin: float, width: int, height: int) -> tuple[int, int, int, int]:
    left, top, right, bottom = box
    around = margin * max(right - left, bottom - top)
    return (
        max(0, math.floor(left - around)),
        max(0, math.floor(top - around)),
        min(width, math.ceil(right + around)),
        min(height, math.ceil(bottom + around)),
    )


def _hide(crop: Image, hidden: PrivacyMask, left: int, top: int) -> float:
    """Paints the regions into the crop, whose corner is at (left, top). Returns the share of it that is still visible;
    0 if a coordinate is not finite, because the intended region is unknown."""
    if not np.isfinite(hidden.boxes).all():
        return 0.0
    visible = np.ones(crop.shape[:2], np.bool_)
    for x1, y1, x2, y2 in hidden.boxes.tolist():
        rows = slice(max(0, math.floor(y1) - top), max(0, math.ceil(y2) - top))
        columns = slice(max(0, math.floor(x1) - left), max(0, math.ceil(x2) - left))
        crop[rows, columns] = _GREY
        visible[rows, columns] = False
    return float(visible.mean())


def _scaled(crop: Image, max_side: int) -> Image:
    height, width = crop.shape[:2]
    factor = max_side / max(width, height)
    if factor >= 1:
        return crop.copy()  # the frame's own image must not be kept
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_AREA), np.uint8)
