"""Where the gallery lies where nobody says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

FILE = "faces.db"


def default_gallery(environ: Mapping[str, str]) -> Path:
    """In $SIGHTD_STATE_DIR, in the state directory that systemd gives the service, or in the user's own."""
    if folder := environ.get("SIGHTD_STATE_DIR"):
        return Path(folder).expanduser() / FILE
    if folder := environ.get("STATE_DIRECTORY"):
        return Path(folder.partition(":")[0]) / FILE  # systemd gives a list of several
    if folder := environ.get("XDG_STATE_HOME"):
        return Path(folder) / "sightd" / FILE
    return Path(environ.get("HOME") or Path.home()) / ".local/state/sightd" / FILE
