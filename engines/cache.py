"""Location of downloaded and converted files on this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


class NoHomeError(Exception):
    """The user has no home directory, and no environment variable names the folder."""


def cache_directory(environ: Mapping[str, str]) -> Path:
    """Returns sightd's cache folder: $SIGHTD_CACHE_DIR, else systemd's $CACHE_DIRECTORY, else the user's XDG cache."""
    if own := environ.get("SIGHTD_CACHE_DIR"):
        return expanded(own)
    if systemd := environ.get("CACHE_DIRECTORY"):
        return Path(systemd.split(":")[0])
    if xdg := environ.get("XDG_CACHE_HOME"):
        return Path(xdg) / "sightd"
    return home_directory(environ, "SIGHTD_CACHE_DIR") / ".cache" / "sightd"


def home_directory(environ: Mapping[str, str], otherwise: str) -> Path:
    """Returns the user's home directory. Raises NoHomeError, which suggests setting the variable `otherwise`
    instead."""
    if home := environ.get("HOME"):
        return Path(home)
    try:
        return Path.home()
    except RuntimeError:
        raise NoHomeError(f"user {os.getuid()} has no home directory; set {otherwise}, or HOME") from None


def expanded(path: str | Path) -> Path:
    """Expands a leading `~` or `~user`. If the user is unknown, the path is left unchanged, as in a shell."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 — pathlib's version raises for unknown users
