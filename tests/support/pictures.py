"""Real images as arrays."""

from __future__ import annotations

from functools import cache

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from tests.support import media


@cache
def photograph(name: str) -> NDArray[np.uint8]:
    """Returns a sample image, BGR. Skips the test if it is not available."""
    return np.asarray(cv2.imread(str(media.path(name))), np.uint8)


@cache
def street(count: int) -> list[NDArray[np.uint8]]:
    """Returns `count` frames of a street with bicycles, cars and people, evenly spread over 10 s; BGR."""
    with av.open(str(media.path("bikes.mp4"))) as container:
        frames = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    return [np.asarray(frames[index], np.uint8) for index in np.linspace(0, len(frames) - 1, count).astype(int)]
