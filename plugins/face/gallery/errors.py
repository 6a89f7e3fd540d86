"""What can be wrong with a gallery; every message says what to do."""

from __future__ import annotations

from pathlib import Path

from sightd.plugins.api import PluginError


class GalleryError(PluginError):
    """The gallery cannot be read or written, or does not allow what was asked."""


class UnwritableError(GalleryError):
    """The disk is full, read-only or broken: what is enrolled stays known, and nothing can be changed until that is
    mended."""


class DamagedError(UnwritableError):
    """The file is damaged, or no gallery at all. It stays as it is."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"gallery {path}: {why}. It is left as it is: move it away to begin a new one and import an export, or put "
            "a copy in its place"
        )


class WrongKeyError(GalleryError):
    """What is encrypted was encrypted with another key, or is damaged."""


class UnknownPersonError(GalleryError):
    """Nobody of that name is enrolled."""


class NameTakenError(GalleryError):
    """Another person has that name."""
