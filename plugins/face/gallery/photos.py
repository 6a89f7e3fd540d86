"""Reads photographs to enrol, from files and uploads."""

from __future__ import annotations

from pathlib import Path

from sightd.plugins.face.gallery.errors import GalleryError
from sightd.plugins.still import UPLOAD, StillError, read_still, still_of
from sightd.plugins.types import Image

MOST_BYTES = UPLOAD.bytes


def read_photo(path: Path) -> Image:
    """Like `plugins.still.read_still`, with the limits of an upload. Raises GalleryError."""
    try:
        return read_still(path, UPLOAD)
    except StillError as error:
        raise GalleryError(str(error)) from error


def photo_of(data: bytes, name: str) -> Image:
    """Like `plugins.still.still_of`. Raises GalleryError."""
    try:
        return still_of(data, name, UPLOAD)
    except StillError as error:
        raise GalleryError(str(error)) from error
