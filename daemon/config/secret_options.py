"""Which options of a configuration file are secrets: those that the models declare as such, and all that no model
describes, such as an option whose name is misspelt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from sightd.daemon.common.redaction import is_secret_name
from sightd.daemon.config.model import Config
from sightd.daemon.config.plugin_entries import PluginSource
from sightd.daemon.config.problems import PathKey
from sightd.plugins.api import PluginConfig, PluginError

_Schema = Mapping[str, Any]
_BRANCHES = ("anyOf", "oneOf", "allOf")


class SecretOptions:
    """Decides by the JSON schemas of pydantic's models, in which a `SecretStr` is marked. `values` are those of the
    file, whose plug-in entries say which plug-in describes them."""

    def __init__(self, values: object, plugins: PluginSource) -> None:
        self._plugins = plugins
        entries = values.get("plugins") if isinstance(values, dict) else None
        self._entries: Mapping[str, object] = entries if isinstance(entries, dict) else {}

    def holds(self, path: PathKey, *, is_text: bool = True) -> bool:
        """Whether the value at this path of the file is a secret, whatever it is; a number that no model describes is
        none. What is below `x-…` is one if its name
        suggests it: what an alias refers to has the path of the alias, too."""
        if path and str(path[0]).startswith("x-"):
            return isinstance(path[-1], str) and is_secret_name(path[-1])
        if _is_source(path):
            return False  # only user and password are
        if path[:1] == ("plugins",) and len(path) > 2:
            root = self._plugin_schema(str(path[1]))
            return is_text if root is None else _is_secret(root, path[2:], is_text)
        return _is_secret(_schema_of(Config), path, is_text)

    def holds_part(self, path: PathKey) -> bool:
        """Whether a text at this path is a secret, or may contain one."""
        return _is_source(path) or self.holds(path)

    def _plugin_schema(self, name: str) -> _Schema | None:
        """Returns the schema of an entry's options; None if the plug-in is unknown, so that any may be a secret."""
        entry = self._entries.get(name)
        use = entry.get("use") if isinstance(entry, dict) else None
        try:
            return _schema_of(self._plugins.find(use if isinstance(use, str) else name).Config)
        except PluginError:
            return None


def _is_source(path: PathKey) -> bool:
    return path[:1] == ("cameras",) and path[2:] == ("source",)


@cache
def _schema_of(model: type[Config] | type[PluginConfig]) -> _Schema:
    return model.model_json_schema()


def _is_secret(root: _Schema, path: PathKey, unknown: bool) -> bool:
    """Whether the schema marks what is at the path as a secret; `unknown` if it does not know it."""
    found = [root]
    for step in path:
        found = [below for one in found for below in _below(root, one, step)]
    if not found:
        return unknown
    return any(one.get("writeOnly") for schema in found for one in _branches(root, schema))


def _below(root: _Schema, schema: _Schema, step: str | int) -> Iterator[_Schema]:
    for one in _branches(root, schema):
        if isinstance(step, int):
            some = one.get("prefixItems", ())
            items = some[step] if step < len(some) else one.get("items")
            if isinstance(items, dict):
                yield items
            continue
        if step in one.get("properties", {}):
            yield one["properties"][step]
            continue
        for other in (*one.get("patternProperties", {}).values(), one.get("additionalProperties")):
            if isinstance(other, dict):
                yield other


def _branches(root: _Schema, schema: _Schema) -> Iterator[_Schema]:
    """Yields the schemas of which one applies, with references followed."""
    if reference := schema.get("$ref"):
        yield from _branches(root, root["$defs"][str(reference).rpartition("/")[2]])
        return
    yield schema
    for key in _BRANCHES:
        for one in schema.get(key, ()):
            yield from _branches(root, one)
