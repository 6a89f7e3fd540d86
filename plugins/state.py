"""Where state lies if nobody says otherwise (what must outlive a restart, all of it in one directory), and how its
folders are made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sightd.engines.cache import expanded, home_directory


def state_directory(environ: Mapping[str, str]) -> Path:
    """$SIGHTD_STATE_DIR, the state directory that systemd gives the service, or the user's own."""
    if folder := environ.get("SIGHTD_STATE_DIR"):
        return expanded(folder)
    if folder := environ.get("STATE_DIRECTORY"):
        return Path(folder.partition(":")[0])  # systemd gives a list of several
    if folder := environ.get("XDG_STATE_HOME"):
        return Path(folder) / "sightd"
    return home_directory(environ, "SIGHTD_STATE_DIR") / ".local/state/sightd"


def make_private(folder: Path) -> None:
    """Makes a folder, and those above it that are missing, for this user alone, whatever the umask says. OSError."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)
