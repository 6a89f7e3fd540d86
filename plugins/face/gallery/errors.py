"""Errors of the gallery; every message says what to do."""

from __future__ import annotations

from pathlib import Path

from sightd.plugins.api import PluginError


class GalleryError(PluginError):
    """The gallery cannot be read or written, or does not allow the requested change."""


class UnwritableError(GalleryError):
    """The disk is full, read-only or broken. Enrolled persons remain known, but nothing can be changed until then."""


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


class NameTakenError(GalleryError):
    """Another person already has that name."""
