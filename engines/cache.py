"""Where on this machine fetched and converted files are kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def cache_directory(environ: Mapping[str, str]) -> Path:
    """The product's cache: $SIGHTD_CACHE_DIR, else systemd's $CACHE_DIRECTORY, else the user's XDG cache."""
    if own := environ.get("SIGHTD_CACHE_DIR"):
        return Path(own).expanduser()
    if systemd := environ.get("CACHE_DIRECTORY"):
        return Path(systemd.split(":")[0])
    if xdg := environ.get("XDG_CACHE_HOME"):
        return Path(xdg) / "sightd"
    return Path(environ.get("HOME") or Path.home()) / ".cache" / "sightd"
