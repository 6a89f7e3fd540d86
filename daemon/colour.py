"""BGR and YUV 4:2:0 as encoders take it: BT.601, limited range (what cv2 computes, and the quickest way there)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.plugins.types import Image

Nv12 = NDArray[np.uint8]
"""uint8 [height × 3 / 2, width]: the luma rows, then rows of U and V in turn; width and height are even."""
I420 = NDArray[np.uint8]
"""uint8 [height × 3 / 2, width]: the luma rows, then the quarter-size U plane, then V; width and height are even."""


def i420_for(width: int, height: int) -> I420:
    """An empty picture for `to_i420` to write into. ValueError where a side is odd: 4:2:0 has no half pixels."""
    if width <= 0 or height <= 0 or width % 2 or height % 2:
        raise ValueError(f"a 4:2:0 picture has even sides, not {width}x{height}: crop or scale it first")
    return np.empty((height * 3 // 2, width), np.uint8)


def to_i420(image: Image, into: I420) -> None:
    """Writes the BGR picture into `into`, which the caller owns. ValueError where their sizes do not agree."""
    height, width = image.shape[:2]
    if into.shape != (height * 3 // 2, width):
        raise ValueError(f"a picture of {width}x{height} does not fit a 4:2:0 buffer of shape {into.shape}")
    cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420, dst=into)


def nv12_to_i420(picture: Nv12, into: I420) -> None:
    """The same picture with U and V in planes of their own. ValueError where their sizes do not agree."""
    if picture.shape != into.shape:
        raise ValueError(f"a picture of shape {picture.shape} does not fit a 4:2:0 buffer of shape {into.shape}")
    height, width = picture.shape[0] * 2 // 3, picture.shape[1]
    into[:height] = picture[:height]
    planes = into[height:].reshape(2, height // 2, width // 2)
    planes[...] = picture[height:].reshape(height // 2, width // 2, 2).transpose(2, 0, 1)
