"""Which sightd this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def installed_version() -> str:
    """The version of the installed package, or "0+uninstalled" where it runs from a bare source tree."""
    try:
        return version("sightd")
    except PackageNotFoundError:
        return "0+uninstalled"
