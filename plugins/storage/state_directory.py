"""Default directory for persistent state, and creation of private directories."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sightd.engines.files import expanded, home_directory


def state_directory(environ: Mapping[str, str]) -> Path:
    """Returns $SIGHTD_STATE_DIR, or the state directory that systemd assigns to the service, or the user's own."""
    if folder := environ.get("SIGHTD_STATE_DIR"):
        return expanded(folder)
    if folder := environ.get("STATE_DIRECTORY"):
        return Path(folder.partition(":")[0])  # systemd may pass a colon-separated list
    if folder := environ.get("XDG_STATE_HOME"):
        return Path(folder) / "sightd"
    return home_directory(environ, "SIGHTD_STATE_DIR") / ".local/state/sightd"


def make_private(folder: Path) -> None:
    """Creates a directory and its missing parents with mode 0700, whatever the umask. Raises OSError."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)
