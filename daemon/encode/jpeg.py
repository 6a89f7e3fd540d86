"""Images as JPEG, for stills and MJPEG."""

from __future__ import annotations

import cv2

from sightd.plugins.types import Image


def encode_jpeg(image: Image, quality: int) -> bytes:
    """Returns the BGR image as a JPEG file; `quality` is 1-100. Raises ValueError if OpenCV cannot encode it."""
    done, data = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, quality))
    if not done:
        raise ValueError(f"an image of shape {image.shape} cannot be encoded as JPEG")
    return data.tobytes()
