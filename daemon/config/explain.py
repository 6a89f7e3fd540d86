"""Turns pydantic's errors into messages with a hint on how to fix them."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, RootModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from sightd.daemon.common.redaction import redact
from sightd.daemon.config.problems import PathKey, shown, unknown
from sightd.engines.text import did_you_mean


def fields_at(root: type[BaseModel], path: PathKey) -> dict[str, FieldInfo]:
    """Returns the options at `path`, of all branches if it is a union; empty if the path leads to something else."""
    found: Any = root
    for step in path:
        found = _below(found, step)
    return {name: field for model in reversed(list(_models(found))) for name, field in model.model_fields.items()}


def field_at(root: type[BaseModel], path: PathKey) -> FieldInfo | None:
    """Returns the option at `path`; None if there is none."""
    if not path or not isinstance(path[-1], str):
        return None
    return fields_at(root, path[:-1]).get(path[-1])


def _below(annotation: Any, step: str | int) -> Any:
    for model in _models(annotation):
        if isinstance(step, str) and step in model.model_fields:
            return model.model_fields[step].annotation
    for branch in _branches(annotation):
        origin, arguments = get_origin(branch), get_args(branch)
        if origin is dict and arguments and isinstance(step, str):
            return arguments[1]
        if origin in (list, tuple) and arguments and isinstance(step, int):
            return arguments[0]
    return None


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    for branch in _branches(annotation):
        if isinstance(branch, type) and issubclass(branch, BaseModel):
            yield branch


def _branches(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _branches(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for argument in get_args(annotation):
            yield from _branches(argument)
    elif isinstance(annotation, type) and issubclass(annotation, RootModel):
        yield from _branches(annotation.model_fields["root"].annotation)
    else:
        yield annotation


Explanation = tuple[str, str]
"""A message and a hint."""

NAME_HINT = 'use at most 63 lower-case letters, digits, "-" and "_", starting with a letter or digit'

_WANTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "path_type": "a path",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
_HOW = {
    "a whole number": "write a whole number",
    "a number": "write a number",
    "a finite number": "write a number",
    "true or false": "write true or false",
    "text": "write text",
    "a path": "write a path",
    "a list": "write a list: [one, two]",
    "a mapping": "write its options below it, one `option: value` per line",
}


def explain(error: ErrorDetails, root: type[BaseModel], path: PathKey, *, show: bool) -> Explanation:
    """Returns message and hint for one error at `path` of `root`. The value is shown only if `show` is set.

    Only numbers, and values of options with a fixed list of words, are ever shown: any other text may be a secret.
    """
    kind = error["type"]
    context: Mapping[str, Any] = error.get("ctx") or {}
    if "[key]" in error["loc"]:
        return f"{shown(str(path[-1]))} is not a valid name", NAME_HINT
    if kind == "string_pattern_mismatch" and context.get("pattern", "").startswith("^[a-z0-9][a-z0-9_-]"):
        return "is not a valid name", NAME_HINT
    if kind == "extra_forbidden":
        return unknown("option", str(path[-1]), fields_at(root, path[:-1]))
    if kind == "missing":
        return "is missing", _fix(root, path)
    if kind in _WANTED:
        return _wrong_type(error, root, path, show)
    if kind == "union_tag_not_found":
        return "has no type", "write type:, which says which options it has"
    if kind == "union_tag_invalid":
        return "has an unknown type", f"write one of {context.get('expected_tags', '')}".replace("'", "")
    if kind in ("literal_error", "enum"):
        return _not_one_of(error, show)
    if kind in ("too_short", "too_long") and isinstance(error["input"], str):
        kind = f"string_{kind}"  # pydantic reports a secret's length like a list's
    if kind in _LIMITS:
        message, hint = _LIMITS[kind](context)
        return (f"{error['input']} is {message}" if show and _is_plain(error["input"]) else f"is {message}"), hint
    if kind in ("value_error", "assertion_error"):
        return _own_words(context.get("error"), root, path)
    return error["msg"].removeprefix("Input "), _fix(root, path)


_LIMITS: dict[str, Callable[[Mapping[str, Any]], Explanation]] = {
    "greater_than_equal": lambda ctx: (f"below {ctx['ge']}", f"write {ctx['ge']} or more"),
    "greater_than": lambda ctx: (f"not above {ctx['gt']}", f"write more than {ctx['gt']}"),
    "less_than_equal": lambda ctx: (f"above {ctx['le']}", f"write {ctx['le']} or less"),
    "less_than": lambda ctx: (f"not below {ctx['lt']}", f"write less than {ctx['lt']}"),
    "multiple_of": lambda ctx: (f"not a multiple of {ctx['multiple_of']}", f"write a multiple of {ctx['multiple_of']}"),
    "string_too_short": lambda ctx: ("too short", f"write {ctx['min_length']} characters or more"),
    "string_too_long": lambda ctx: ("too long", f"write {ctx['max_length']} characters or fewer"),
    "too_short": lambda ctx: ("too short", f"write {ctx['min_length']} items or more"),
    "too_long": lambda ctx: ("too long", f"write {ctx['max_length']} items or fewer"),
    "string_pattern_mismatch": lambda ctx: ("not in the expected format", f"it must match {ctx['pattern']}"),
}


def _wrong_type(error: ErrorDetails, root: type[BaseModel], path: PathKey, show: bool) -> Explanation:
    wanted, value = _WANTED[error["type"]], error["input"]
    if value is None:
        return f"is empty; expected {wanted}", _fix(root, path) or _HOW[wanted]
    if wanted == "text" and isinstance(value, (int, float, bool)):
        return "is a number or a boolean; expected text", "put it in quotes"
    if isinstance(value, str) and not show:
        return f"its reference resolves to text; expected {wanted}", f"make the referenced value {wanted}"
    if wanted == "true or false" and isinstance(value, str):
        return "is text; expected true or false", "write true or false; YAML 1.1's yes, no, on and off are text here"
    if "number" in wanted and isinstance(value, str):
        how = f"write it without quotes, unit or leading zeros{_example(root, path)}"
        return f"is text; expected {wanted}", how
    got = str(value) if show and _is_plain(value) else _kind_of(value)
    return f"is {got}; expected {wanted}", _HOW[wanted]


def _not_one_of(error: ErrorDetails, show: bool) -> Explanation:
    expected = error.get("ctx", {}).get("expected", "")
    words = re.findall(r"'([^']*)'", expected)
    value = error["input"]
    message = (
        f"{json.dumps(value)} is not a known value" if show and isinstance(value, str) and len(value) <= 40 else ""
    )
    if show and _is_plain(value):
        message = f"{value} is not a known value"
    return (
        (message or "is not a known value") + (did_you_mean(value, words) if show and isinstance(value, str) else ""),
        f"write one of {', '.join(words)}" if words else f"write {expected}",
    )


def _own_words(error: object, root: type[BaseModel], path: PathKey) -> Explanation:
    """Returns a validator's message; one that starts with "write", as those of units do, becomes the hint."""
    told = redact(str(error))
    if told.startswith("write "):
        return "has the wrong format", told
    return told, _fix(root, path)


def _fix(root: type[BaseModel], path: PathKey) -> str:
    """Returns the line to write, from the option's own example or description."""
    field = field_at(root, path)
    if field is None:
        return ""
    if field.examples:
        return f"write {_line(path, _yaml(field.examples[0]))}"
    return f"{path[-1]}: {field.description}" if field.description else ""


def _example(root: type[BaseModel], path: PathKey) -> str:
    field = field_at(root, path)
    default = field.default if field else None
    return f", for example {_line(path, str(default))}" if _is_plain(default) else ""


def _line(path: PathKey, value: str) -> str:
    return f"{path[-1]}: {value}" if path and isinstance(path[-1], str) else value


def _yaml(value: object) -> str:
    return value if isinstance(value, str) and not value.startswith("$") else json.dumps(value)


def _is_plain(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _kind_of(value: object) -> str:
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return "text" if isinstance(value, str) else "a number"
