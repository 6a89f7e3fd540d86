"""Checks that the plug-ins of a chain fit together: each required result type is produced earlier in the chain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sightd.engines.suggest import did_you_mean
from sightd.plugins.api import AnyPlugin, PluginError


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
