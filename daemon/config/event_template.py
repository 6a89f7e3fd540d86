"""Texts with placeholders for the fields of an event, such as "{kind} at {camera}"."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.parse import quote_plus

from sightd.engines.text import json_text

FIELDS = ("schema", "id", "kind", "phase", "began", "time", "camera", "plugin", "zone", "line", "class", "track",
          "person", "score", "facts", "snapshot", "clean_snapshot", "clip", "text", "instance")  # fmt: skip
"""Names of placeholders: the keys of an event's JSON form, `text` (the event in words) and `instance`.
`facts.NAME` is one of the facts."""

Escaping = Literal["json", "form", "none"]

_PLACEHOLDER = re.compile(r"\{([a-z_]+)(?:\.([A-Za-z0-9_]+))?(:json)?\}")


class TemplateError(ValueError):
    """The template cannot be used; the message says why."""


class EventTemplate:
    """A template: `{NAME}` stands for a field as text, empty if it is null; `{NAME:json}` for the field as JSON, with
    quotes. All other braces stand for themselves. Immutable."""

    def __init__(self, text: str, escaping: Escaping) -> None:
        """`escaping` says how fields are written: "json" so that they can stand within the quotes of a JSON string,
        "form" percent-encoded, "none" as they are. Raises TemplateError if a placeholder names no field, or if the
        result would be no valid JSON although `escaping` is "json"."""
        self._text, self._escape = text, _ESCAPES[escaping]
        for found in _PLACEHOLDER.finditer(text):
            name, fact = found[1], found[2]
            if name not in FIELDS or (fact is not None and name != "facts"):
                raise TemplateError(f"{found[0]} names no field; there are: {', '.join(FIELDS)}, facts.NAME")
        if escaping == "json":
            self._require_json()

    def render(self, record: Mapping[str, Any]) -> str:
        """Returns the text for an event's JSON form, with `text` and `instance`. Fields that `record` lacks are
        null."""
        return self._filled(lambda name, fact: _field(record, name, fact))

    def _filled(self, value_of: Callable[[str, str | None], object]) -> str:
        return _PLACEHOLDER.sub(lambda found: self._written(value_of(found[1], found[2]), bool(found[3])), self._text)

    def _written(self, value: object, as_json: bool) -> str:
        if as_json:
            return json_text(value) if self._escape is _json_escaped else self._escape(json_text(value))
        if value is None:
            return ""
        return self._escape(value if isinstance(value, str) else json_text(value))

    def _require_json(self) -> None:
        try:
            json.loads(self._filled(lambda _name, _fact: None))
            json.loads(self._filled(lambda _name, _fact: 'a "text"'))
        except ValueError as error:
            reason = str(error).partition(":")[0].lower()
            raise TemplateError(
                f"its result is not valid JSON ({reason}): within quotes write {{NAME}}, elsewhere {{NAME:json}}"
            ) from None


def _field(record: Mapping[str, Any], name: str, fact: str | None) -> object:
    value = record.get(name)
    if fact is None:
        return value
    return value.get(fact) if isinstance(value, Mapping) else None


def _json_escaped(text: str) -> str:
    return json_text(text)[1:-1]


_ESCAPES: Mapping[Escaping, Callable[[str], str]] = {"json": _json_escaped, "form": quote_plus, "none": str}
