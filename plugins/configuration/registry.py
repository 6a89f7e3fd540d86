"""Finds installed plug-ins by entry point and imports only the requested one; checks that a chain fits.

The plug-ins of a chain fit together if each required result type is produced earlier in the chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points

from sightd.engines.text import did_you_mean
from sightd.plugins.api import API_VERSION, ENTRY_POINT_GROUP, AnyPlugin, Plugin, PluginError
from sightd.plugins.configuration.declarations import Declarations


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
    try:
        Declarations.of(loaded)
    except PluginError as error:
        raise PluginError(f"{whose}: {error}") from None
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


def check_chain(names: Sequence[str], classes: Mapping[str, type[AnyPlugin]]) -> None:
    """Raises PluginError, with one line per problem, if the instances `names` cannot run in this order.

    `classes` maps every configured instance to its class, including instances outside the chain.
    """
    faults: list[str] = []
    given: set[type] = set()
    for position, name in enumerate(names):
        if name not in classes:
            faults.append(_not_there(name, classes))
            continue
        if name in names[:position]:
            faults.append(f"{name} stands in the chain twice; take one of them out")
            continue
        faults += [_missing(name, kind, classes) for kind in _sorted(classes[name].needs - given)]
        given |= classes[name].gives
    if faults:
        raise PluginError("\n".join(faults))


def _not_there(name: str, classes: Mapping[str, type[AnyPlugin]]) -> str:
    hint = did_you_mean(name, classes) or "."
    return f'the chain names "{name}", which is not configured{hint} Configured: {", ".join(classes) or "none"}'


def _missing(name: str, kind: type, classes: Mapping[str, type[AnyPlugin]]) -> str:
    givers = [other for other, plugin in classes.items() if kind in plugin.gives and other != name]
    if givers:
        return f"{name} needs {kind.__name__}; put {' or '.join(givers)} before it"
    return f"{name} needs {kind.__name__}, which no configured plug-in gives; configure one that does, before it"


def _sorted(kinds: frozenset[type]) -> list[type]:
    return sorted(kinds, key=lambda kind: kind.__name__)
