"""Where on this machine fetched and converted files are kept."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


class NoHomeError(Exception):
    """The user has no home directory, and no variable names the folder that is asked for."""


def cache_directory(environ: Mapping[str, str]) -> Path:
    """The product's cache: $SIGHTD_CACHE_DIR, else systemd's $CACHE_DIRECTORY, else the user's XDG cache."""
    if own := environ.get("SIGHTD_CACHE_DIR"):
        return expanded(own)
    if systemd := environ.get("CACHE_DIRECTORY"):
        return Path(systemd.split(":")[0])
    if xdg := environ.get("XDG_CACHE_HOME"):
        return Path(xdg) / "sightd"
    return home_directory(environ, "SIGHTD_CACHE_DIR") / ".cache" / "sightd"


def home_directory(environ: Mapping[str, str], otherwise: str) -> Path:
    """The user's home. NoHomeError names the variable `otherwise`, which makes it unnecessary."""
    if home := environ.get("HOME"):
        return Path(home)
    try:
        return Path.home()
    except RuntimeError:
        raise NoHomeError(f"user {os.getuid()} has no home directory; set {otherwise}, or HOME") from None


def expanded(path: str | Path) -> Path:
    """With a leading `~` or `~user` replaced. The home of an unknown user stays as it is, as in a shell."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 — pathlib's raises for unknown users
