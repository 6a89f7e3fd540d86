"""Finds installed plug-ins, and what is registered for models, by entry point; imports only what is requested.

Also checks a chain: its plug-ins fit together if each required result type is produced earlier in the chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from sightd.engines.model import Model
from sightd.engines.text import did_you_mean
from sightd.plugins.api import (
    API_VERSION,
    BOX_READER_ENTRY_POINT_GROUP,
    DRIFT_ENTRY_POINT_GROUP,
    ENTRY_POINT_GROUP,
    ROUTE_ENTRY_POINT_GROUP,
    AnyPlugin,
    BoxReader,
    BoxReaderFactory,
    Drift,
    Plugin,
    PluginError,
)
from sightd.plugins.configuration.declarations import Declarations

_OWN_PACKAGE = "sightd"


def available() -> dict[str, EntryPoint]:
    """Returns every installed plug-in by name, in alphabetical order, without importing it.

    Raises PluginError if two packages register different plug-ins under the same name.
    """
    return _entries(ENTRY_POINT_GROUP, "plug-in")


def _entries(group: str, kind: str) -> dict[str, EntryPoint]:
    """Raises PluginError if two packages register different objects of this `kind` under the same name."""
    found: dict[str, EntryPoint] = {}
    for entry in sorted(entry_points(group=group), key=lambda entry: entry.name):
        other = found.setdefault(entry.name, entry)
        if other.value != entry.value:
            raise PluginError(
                f'two packages have a {kind} "{entry.name}": {package_of(other)} and {package_of(entry)}; '
                "uninstall one of them"
            )
    return found


def route_owners() -> dict[str, list[str]]:
    """Returns which installed plug-ins have routes, by the first part of their paths below `/api/v1`, without importing
    any. Raises PluginError as `available` does."""
    installed, owners = available().items(), dict[str, list[str]]()
    for route in sorted(entry_points(group=ROUTE_ENTRY_POINT_GROUP), key=lambda route: route.name):
        names = [name for name, entry in installed if entry.value == route.value]
        known = owners.setdefault(route.name, [])
        known += [name for name in names if name not in known]
    return owners


def package_of(entry: EntryPoint) -> str:
    """Returns the name and version of the package that an entry point belongs to."""
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown package"


def is_built_in(entry: EntryPoint) -> bool:
    """Returns whether a plug-in belongs to sightd itself."""
    return entry.dist is not None and entry.dist.name == _OWN_PACKAGE


def load(name: str, entries: Mapping[str, EntryPoint] | None = None) -> type[AnyPlugin]:
    """Imports and returns the plug-in class of that name. Raises PluginError if it is unknown or unusable. `entries` is
    what `available` returned, if the caller has it."""
    entries = available() if entries is None else entries
    entry = entries.get(name)
    if entry is None:
        raise PluginError(_unknown(name, entries))
    loaded = _imported(entry, "plug-in")
    if not (isinstance(loaded, type) and issubclass(loaded, Plugin)):
        raise PluginError(f"{_described(entry, 'plug-in')} is not a class derived from sightd.plugins.api.Plugin")
    if loaded.api_version != API_VERSION:
        raise PluginError(
            f"{_described(entry, 'plug-in')} was made for plug-in API version {loaded.api_version}, but this sightd "
            f"has {API_VERSION}; install a compatible version of the plug-in"
        )
    try:
        Declarations.of(loaded)
    except PluginError as error:
        raise PluginError(f"{_described(entry, 'plug-in')}: {error}") from None
    return loaded


def box_reader_for(model: Model) -> BoxReader | None:
    """Returns the box reader for the outputs of a model, or None if none is registered for its role. Raises PluginError
    if it is unusable or cannot read this model."""
    factory: BoxReaderFactory | None = _for_role(BOX_READER_ENTRY_POINT_GROUP, "box reader", model.role)
    return None if factory is None else factory(model)


def drift_for(role: str) -> Drift | None:
    """Returns the function that compares int8 models of that role with the original, or None if none is registered.
    Raises PluginError if it is unusable."""
    found: Drift | None = _for_role(DRIFT_ENTRY_POINT_GROUP, "drift measure", role)
    return found


def _for_role(group: str, kind: str, role: str) -> Any:
    """Imports and returns the function that is registered for models of a role, or None."""
    entry = _entries(group, kind).get(role)
    if entry is None:
        return None
    found = _imported(entry, kind)
    if not callable(found):
        raise PluginError(f"{_described(entry, kind)} is not a function")
    return found


def _described(entry: EntryPoint, kind: str) -> str:
    return f'{kind} "{entry.name}" ({entry.value} of {package_of(entry)})'


def _imported(entry: EntryPoint, kind: str) -> object:
    """Raises PluginError if the import fails. Whose the object is takes longer to find out than a repeated import."""
    try:
        return entry.load()
    except Exception as error:
        whose = _described(entry, kind)
        raise PluginError(f"{whose} cannot be imported: {type(error).__name__}: {error}{_renamed(error)}") from error


def _renamed(error: Exception) -> str:
    """Returns a hint if the plug-in imports a top-level package of sightd before 0.2."""
    package = (getattr(error, "name", None) or "").split(".")[0]
    if package not in ("daemon", "engines", "plugins"):
        return ""
    return f"; since sightd 0.2 it is sightd.{package}: install a version of the plug-in for sightd 0.2 or newer"


def _unknown(name: str, known: Iterable[str]) -> str:
    names = list(known)
    hint = did_you_mean(name, names) or "."
    return f'there is no plug-in "{name}"{hint} Installed: {", ".join(names) or "none"}'


def check_chain(names: Sequence[str], classes: Mapping[str, type[AnyPlugin]]) -> None:
    """Raises PluginError, with one line per problem, if the instances `names` cannot run in this order, or if one uses
    what a later one produces.

    `classes` maps every configured instance to its class, including instances outside the chain.
    """
    faults: list[str] = []
    given: set[type] = set()
    for position, name in enumerate(names):
        if name not in classes:
            faults.append(_not_there(name, classes))
            continue
        if name in names[:position]:
            faults.append(f"{name} is in the chain twice; remove one of them")
            continue
        faults += [_missing(name, kind, classes) for kind in _sorted(classes[name].requires - given)]
        faults += _too_late(name, names[position + 1 :], classes)
        given |= classes[name].produces
    if faults:
        raise PluginError("\n".join(faults))


def _not_there(name: str, classes: Mapping[str, type[AnyPlugin]]) -> str:
    hint = did_you_mean(name, classes) or "."
    return f'the chain names "{name}", which is not configured{hint} Configured: {", ".join(classes) or "none"}'


def _missing(name: str, kind: type, classes: Mapping[str, type[AnyPlugin]]) -> str:
    givers = [other for other, plugin in classes.items() if kind in plugin.produces and other != name]
    if givers:
        return f"{name} requires {kind.__name__}; put {' or '.join(givers)} before it"
    return (
        f"{name} requires {kind.__name__}, which no configured plug-in produces; "
        "configure one that does, and put it earlier in the chain"
    )


def _too_late(name: str, later: Sequence[str], classes: Mapping[str, type[AnyPlugin]]) -> list[str]:
    """Returns a message for each later instance that produces what `name` uses."""
    used = {other: classes[name].uses & classes[other].produces for other in later if other in classes}
    return [
        f"{name} uses {', '.join(kind.__name__ for kind in _sorted(kinds))}; put {other} before it"
        for other, kinds in used.items()
        if kinds
    ]


def _sorted(kinds: frozenset[type]) -> list[type]:
    return sorted(kinds, key=lambda kind: kind.__name__)
