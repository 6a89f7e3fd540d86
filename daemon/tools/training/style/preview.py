"""Previews of a style while it is trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from sightd.engines.files import write_whole
from sightd.plugins.api import Image


def write_preview(path: Path, painting: Image, pictures: Sequence[Image], painted: Sequence[Image]) -> None:
    """Writes the painting, and images (squares of one size) above their current stylised versions. Raises OSError."""
    side = pictures[0].shape[0]
    height, width = painting.shape[:2]
    size = max(1, round(width * 2 * side / height)), 2 * side
    example = cv2.resize(painting, size, interpolation=cv2.INTER_AREA)
    sheet = np.hstack([example, *(np.vstack(pair) for pair in zip(pictures, painted, strict=True))])
    write_whole(path, cv2.imencode(".jpg", sheet, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes())
