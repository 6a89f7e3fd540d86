"""Values held against a pydantic model; every error becomes a problem with its place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from daemon.config import scalars
from daemon.config.explain import Told, explain
from daemon.config.positions import Positions
from daemon.config.problems import PathKey, Problem, dotted
from daemon.config.references import Resolved

M = TypeVar("M", bound=BaseModel)

_NUMBER_OR_SWITCH = {"int_type", "float_type", "bool_type"}
_AT_KEY = {"missing", "extra_forbidden"}


@dataclass(frozen=True, slots=True)
class Validated(Generic[M]):
    """The model, None where there are problems."""

    model: M | None
    problems: list[Problem]


def validate(root: type[M], value: object, positions: Positions, resolved: Resolved, at: PathKey = ()) -> Validated[M]:
    """Holds the part of the file at path `at` against `root`, as strictly as its JSON schema does.

    Text is no number and no switch, except where it came from a reference: `port: ${env:PORT}` is read as YAML.
    """
    try:
        return Validated(_strictly(root, value), [])
    except ValidationError as error:
        errors = error.errors(include_url=False)
    whole = {
        item["loc"]
        for item in errors
        if item["type"] in _NUMBER_OR_SWITCH and positions.trimmed((*at, *item["loc"])) in resolved.whole
    }
    if whole:
        for loc in whole:
            value = _retyped(value, positions.trimmed((*at, *loc))[len(at) :])
        try:
            return Validated(_strictly(root, value), [])
        except ValidationError as error:
            errors = error.errors(include_url=False)
    return Validated(None, list(_problems(root, errors, positions, resolved, at)))


def _strictly(root: type[M], value: object) -> M:
    """JSON mode: strict for numbers and switches, yet paths and tuples are made of text and lists."""
    return root.model_validate_json(json.dumps(value), strict=True)


def _retyped(value: object, path: PathKey) -> object:
    if not path:
        return scalars.read(value, scalars.kind(value)) if isinstance(value, str) else value
    if isinstance(value, dict):
        return {key: _retyped(item, path[1:]) if key == path[0] else item for key, item in value.items()}
    if isinstance(value, list):
        return [_retyped(item, path[1:]) if index == path[0] else item for index, item in enumerate(value)]
    return value


def _problems(
    root: type[BaseModel], errors: list[ErrorDetails], positions: Positions, resolved: Resolved, at: PathKey
) -> Iterator[Problem]:
    """One problem for each path: the branches of a union each have an error at the same one."""
    told: dict[tuple[PathKey, bool], list[Told]] = {}
    for error in errors:
        path, at_key = _where(error, positions, at)
        if path in resolved.failed:
            continue
        words = explain(error, root, path[len(at) :], show=path not in resolved.paths)
        told.setdefault((path, at_key), []).append(words)
    for (path, at_key), branches in told.items():
        place = positions.key(path) if at_key else positions.value(path)
        messages = dict.fromkeys(message for message, _ in branches)
        hints = dict.fromkeys(hint for _, hint in branches if hint)
        yield Problem(*place, dotted(path), "; or ".join(messages), "; or ".join(hints))


def _where(error: ErrorDetails, positions: Positions, at: PathKey) -> tuple[PathKey, bool]:
    loc = error["loc"]
    if error["type"] == "missing":
        return (*positions.trimmed((*at, *loc[:-1])), loc[-1]), True
    trimmed = positions.trimmed((*at, *(step for step in loc if step != "[key]")))
    return trimmed, error["type"] in _AT_KEY or "[key]" in loc
