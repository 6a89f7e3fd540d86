"""The installed version of sightd."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def installed_version() -> str:
    """Returns the package version, or "0+uninstalled" when run from a source tree."""
    try:
        return version("sightd")
    except PackageNotFoundError:
        return "0+uninstalled"
