"""What can be wrong with a gallery; every message says what to do."""

from __future__ import annotations

from plugins.api import PluginError


class GalleryError(PluginError):
    """The gallery cannot be read or written, or does not allow what was asked."""


class UnwritableError(GalleryError):
    """The disk is full, read-only or broken: what is enrolled stays known, and nothing can be changed until that is
    mended."""


class UnknownPersonError(GalleryError):
    """Nobody of that name is enrolled."""


class NameTakenError(GalleryError):
    """Another person has that name."""
