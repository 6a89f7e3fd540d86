"""Photographs from files and uploads, with bounds that hold before anything is decoded."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import cv2
import imagesize
import numpy as np

from plugins.face.gallery.errors import GalleryError
from plugins.types import Image

MOST_BYTES = 32 * 1024 * 1024
_MOST_PIXELS = 80_000_000
_ONE_AT_A_TIME = threading.Lock()
"""A picture of the largest size takes a few hundred MiB while it is decoded: many at once would take all there is."""


def read_photo(path: Path) -> Image:
    """The photograph as BGR uint8 [height, width, 3], upright as its EXIF data say. GalleryError says what is wrong."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise GalleryError(f"{path}: larger than {MOST_BYTES >> 20} MiB: make it smaller")
        data = path.read_bytes()
    except OSError as error:
        raise GalleryError(f"{path}: {error.strerror}") from error
    return photo_of(data, str(path))


def photo_of(data: bytes, name: str) -> Image:
    """As `read_photo`, of a file's content; `name` is how it is told of."""
    if len(data) > MOST_BYTES:
        raise GalleryError(f"{name}: larger than {MOST_BYTES >> 20} MiB: make it smaller")
    try:
        width, height = imagesize.get(io.BytesIO(data))
    except Exception as error:  # its readers raise what they come upon: struct.error, ValueError, …
        raise GalleryError(f"{name}: not a picture that can be read") from error
    if width * height > _MOST_PIXELS:
        raise GalleryError(f"{name}: {width}x{height} pixels, at most {_MOST_PIXELS // 10**6} million: make it smaller")
    if (width, height) == (-1, -1) and data[:2] != b"BM":  # uncompressed: its bytes bound its pixels
        raise GalleryError(f"{name}: not a JPEG, PNG, WebP, TIFF or BMP picture")
    with _ONE_AT_A_TIME:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise GalleryError(f"{name}: not a picture that can be read: it is damaged, or not complete")
    return np.asarray(image, np.uint8)
