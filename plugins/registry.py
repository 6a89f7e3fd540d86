"""Finds installed plug-ins by entry point and imports only the requested one."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points

from sightd.engines.suggest import did_you_mean
from sightd.plugins.api import API_VERSION, ENTRY_POINT_GROUP, AnyPlugin, Plugin, PluginError


def available() -> dict[str, EntryPoint]:
    """Returns every installed plug-in by name, in alphabetical order, without importing it.

    Raises PluginError if two packages register different plug-ins under the same name.
    """
    found: dict[str, EntryPoint] = {}
    for entry in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda entry: entry.name):
        other = found.setdefault(entry.name, entry)
        if other.value != entry.value:
            raise PluginError(
                f'two packages have a plug-in "{entry.name}": {package_of(other)} and {package_of(entry)}; '
                "uninstall one of them"
            )
    return found


def package_of(entry: EntryPoint) -> str:
    """Returns the name and version of the package that an entry point belongs to."""
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown package"


def load(name: str) -> type[AnyPlugin]:
    """Imports and returns the plug-in class of that name. Raises PluginError if it is unknown or unusable."""
    entries = available()
    entry = entries.get(name)
    if entry is None:
        raise PluginError(_unknown(name, entries))
    whose = f'plug-in "{name}" ({entry.value} of {package_of(entry)})'
    try:
        loaded: object = entry.load()
    except Exception as error:
        raise PluginError(f"{whose} cannot be imported: {type(error).__name__}: {error}{_renamed(error)}") from error
    if not (isinstance(loaded, type) and issubclass(loaded, Plugin)):
        raise PluginError(f"{whose} is not a class derived from sightd.plugins.api.Plugin")
    if loaded.api_version != API_VERSION:
        raise PluginError(
            f"{whose} is made for plug-in interface {loaded.api_version}, this sightd has {API_VERSION}; "
            "install a version of it that fits"
        )
    return loaded


def _renamed(error: Exception) -> str:
    """Returns a hint if the plug-in imports a top-level package of sightd before 0.2."""
    package = (getattr(error, "name", None) or "").split(".")[0]
    if package not in ("daemon", "engines", "plugins"):
        return ""
    return f"; since sightd 0.2 it is sightd.{package}: install a version of it made for that"


def _unknown(name: str, known: Iterable[str]) -> str:
    names = list(known)
    hint = did_you_mean(name, names) or "."
    return f'there is no plug-in "{name}"{hint} Installed: {", ".join(names) or "none"}'
