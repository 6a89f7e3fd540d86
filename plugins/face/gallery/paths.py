"""Default path of the gallery."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sightd.plugins.state import state_directory

FILE = "faces.db"


def default_gallery(environ: Mapping[str, str]) -> Path:
    """Returns the gallery's path in the state directory."""
    return state_directory(environ) / FILE
