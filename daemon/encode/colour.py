"""Conversions between BGR and the YUV 4:2:0 formats of encoders: BT.601, limited range, as cv2 computes it
(fastest)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.plugins.api import Image

Nv12 = NDArray[np.uint8]
"""uint8 [height × 3 / 2, width]: the luma rows, then rows of interleaved U and V; width and height are even."""
I420 = NDArray[np.uint8]
"""uint8 [height × 3 / 2, width]: the luma rows, then the quarter-size U plane, then V; width and height are even."""


def i420_for(width: int, height: int) -> I420:
    """Allocates an image for `to_i420` to write into. Raises ValueError if a side is odd or not positive."""
    if width <= 0 or height <= 0 or width % 2 or height % 2:
        raise ValueError(f"a 4:2:0 image must have even sides, not {width}x{height}: crop or scale it first")
    return np.empty((height * 3 // 2, width), np.uint8)


def to_i420(image: Image, into: I420) -> None:
    """Converts the BGR image into `into`, which the caller owns. Raises ValueError if their sizes do not match."""
    height, width = image.shape[:2]
    if into.shape != (height * 3 // 2, width):
        raise ValueError(f"an image of {width}x{height} does not fit a 4:2:0 buffer of shape {into.shape}")
    cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420, dst=into)


def nv12_to_i420(picture: Nv12, into: I420) -> None:
    """Copies the image with U and V split into separate planes. Raises ValueError if their shapes differ."""
    if picture.shape != into.shape:
        raise ValueError(f"an image of shape {picture.shape} does not fit a 4:2:0 buffer of shape {into.shape}")
    height, width = picture.shape[0] * 2 // 3, picture.shape[1]
    into[:height] = picture[:height]
    planes = into[height:].reshape(2, height // 2, width // 2)
    planes[...] = picture[height:].reshape(height // 2, width // 2, 2).transpose(2, 0, 1)
