"""Where the gallery lies where nobody says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sightd.plugins.state import state_directory

FILE = "faces.db"


def default_gallery(environ: Mapping[str, str]) -> Path:
    """Among the state."""
    return state_directory(environ) / FILE
