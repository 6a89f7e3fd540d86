"""Errors of the gallery; every message says what to do."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from sightd.plugins.api import RefusedError


class GalleryError(RefusedError):
    """The gallery cannot be read or written, or does not allow the requested change."""


class UnwritableError(GalleryError):
    """The disk is full, read-only or broken. Enrolled persons remain known, but nothing can be changed until then."""

    status: ClassVar[int] = 507


class DamagedError(UnwritableError):
    """The file is damaged, or not a gallery. It is left unchanged."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"gallery {path}: {why}. The file was not changed: replace it with a backup, or move it away to start a "
            "new gallery and import an export"
        )


class WrongKeyError(GalleryError):
    """Encrypted data was encrypted with another key, or is damaged."""


class UnknownPersonError(GalleryError):
    """Nobody of that name is enrolled."""

    status: ClassVar[int] = 404


class NameTakenError(GalleryError):
    """Another person already has that name."""

    status: ClassVar[int] = 409
