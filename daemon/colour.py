"""BGR to YUV 4:2:0 as encoders take it: BT.601, limited range (what cv2 computes, and the quickest way there)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from plugins.types import Image

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
