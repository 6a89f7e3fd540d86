"""The JSON schema of a configuration file, for editors and other tools."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sightd.daemon.config.model import Config
from sightd.plugins.api import PluginConfig

Schema = dict[str, Any]

_REFERENCE: Schema = {"type": "string", "pattern": r"\$\{(env|file):[^{}]+\}"}
_FORMS = ("pattern", "enum", "const", "minLength", "maxLength")
_ANNOTATIONS = ("title", "description", "default", "examples")
_AS_IT_IS = ("propertyNames", "default", "examples", "const", "enum", "if")


def config_schema(plugins: Mapping[str, type[PluginConfig]]) -> Schema:
    """Returns the schema of a file, with the options of `plugins`, by name. The same input gives the same bytes as
    JSON.

    An entry is validated as the plug-in that its `use` names, or its own name; entries of other plug-ins are not
    checked. What the schema rejects, the loader rejects, except for previous names of renamed options.
    """
    schema = Config.model_json_schema()
    definitions: Schema = schema.setdefault("$defs", {})
    for name, config in sorted(plugins.items()):
        definitions[f"plugin:{name}"] = _with_definitions(config, name, definitions)
    known = sorted(plugins)
    for section in ("cameras", "plugins"):
        _close_names(schema["properties"][section])
    schema["properties"]["plugins"] |= {
        "properties": {name: _entry_named(name, known) for name in known},
        "additionalProperties": _entry_that_uses(known),
    }
    for name, section in schema["properties"].items():
        if "$ref" in section or section.get("type") in ("object", "array"):
            schema["properties"][name] = _or_nothing(section)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_with_references(schema),
        "patternProperties": {"^x-": {"description": "Ignored; use it for shared YAML anchors."}},
        "title": "sightd configuration",
    }


def as_text(schema: Schema) -> str:
    """Returns the schema as it is stored in a file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _with_definitions(config: type[PluginConfig], name: str, definitions: Schema) -> Schema:
    """Returns a plug-in's own schema; moves its inner definitions into the file's, under the plug-in's name."""
    own = config.model_json_schema(ref_template=f"#/$defs/plugin:{name}:{{model}}")
    for model, inner in own.pop("$defs", {}).items():
        definitions[f"plugin:{name}:{model}"] = inner
    return own


def _entry_named(name: str, known: list[str]) -> Schema:
    """Validates an entry with a plug-in's own name as that plug-in, unless its `use` names another."""
    own = {"anyOf": [{"$ref": f"#/$defs/plugin:{name}"}, {"type": "null"}]}
    return {"if": {"type": "object", "required": ["use"]}, "then": _entry_that_uses(known), "else": own}


def _entry_that_uses(known: list[str]) -> Schema:
    return {"type": ["object", "null"], "allOf": [_if_used(name) for name in known]}


def _close_names(section: Schema) -> None:
    """Rejects keys that are not valid names; pydantic's schema allows every other key."""
    ((pattern, value),) = section.pop("patternProperties").items()
    section |= {"propertyNames": {"pattern": pattern}, "additionalProperties": value}


def _if_used(name: str) -> Schema:
    return {
        "if": {"type": "object", "properties": {"use": {"const": name}}, "required": ["use"]},
        "then": {"$ref": f"#/$defs/plugin:{name}"},
    }


def _or_nothing(section: Schema) -> Schema:
    """Allows a section to be empty, with everything below it commented out."""
    if "$ref" in section:
        outer = {key: value for key, value in section.items() if key != "$ref"}
        return {**outer, "anyOf": [{"$ref": section["$ref"]}, {"type": "null"}]}
    return {**section, "type": [section["type"], "null"]}


def _with_references(schema: Any) -> Any:
    """Allows a reference for any number, boolean or text of a certain form: `port: ${env:PORT}`."""
    if isinstance(schema, list):
        return [_with_references(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: value if key in _AS_IT_IS else _with_references(value) for key, value in schema.items()}
    kind = inner.get("type")
    if kind in ("integer", "number", "boolean") or (kind == "string" and any(key in inner for key in _FORMS)):
        annotations = {key: inner.pop(key) for key in _ANNOTATIONS if key in inner}
        return {**annotations, "anyOf": [inner, _REFERENCE]}
    return inner
