"""Validates values with a pydantic model: every error becomes a problem with its position, and what is valid is
salvaged, so that one error does not hide those that only show across options.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from sightd.daemon.config.explain import NAME_HINT, Explanation, explain
from sightd.daemon.config.interpolation import Resolved
from sightd.daemon.config.model import Config
from sightd.daemon.config.problems import LocatedProblem, PathKey, Positions
from sightd.daemon.config.section import Name
from sightd.daemon.config.yaml import read_scalar, tag_of

M = TypeVar("M", bound=BaseModel)

_NUMBER_OR_SWITCH = {"int_type", "float_type", "bool_type"}
_AT_KEY = {"missing", "extra_forbidden"}
_MAX_ROUNDS = 8
"""How often `salvage` validates: removing an option may invalidate what is around it, once at each level."""


@dataclass(frozen=True, slots=True)
class Validated(Generic[M]):
    """The model, or None if there are problems."""

    model: M | None
    problems: list[LocatedProblem]


def validate(root: type[M], value: object, positions: Positions, resolved: Resolved, at: PathKey = ()) -> Validated[M]:
    """Validates the part of the file at path `at` with `root`, as strictly as its JSON schema does.

    Text is not a number or a boolean unless it came from a reference: `port: ${env:PORT}` is read as YAML.
    """
    model, errors = _attempt(root, value, resolved, at)
    return Validated(model, list(_problems(root, errors, value, positions, resolved, at)))


@dataclass(frozen=True, slots=True)
class Salvaged(Generic[M]):
    """What remains of a value without its invalid options. `model` is None if nothing usable remains. `lost` are the
    paths in the file that were removed, and those whose reference could not be resolved."""

    model: M | None
    lost: frozenset[PathKey]


def salvage(root: type[M], value: object, resolved: Resolved, at: PathKey = ()) -> Salvaged[M]:
    """Validates the value like `validate` and removes invalid options until the rest is valid.

    So one run also reports the errors that only show between options, even if other options are invalid.
    """
    lost = {path for path in resolved.failed if path[: len(at)] == at}
    for _ in range(_MAX_ROUNDS):
        model, errors = _attempt(root, value, resolved, at)
        if model is not None:
            return Salvaged(model, frozenset(lost))
        paths = {_option(_where(error, value)[0], error["type"] == "missing") for error in errors}
        if () in paths:
            break
        for path in paths:
            value = _without(value, path)
        lost |= {(*at, *path) for path in paths}
    return Salvaged(None, frozenset({*lost, at}))


def _option(path: PathKey, missing: bool) -> PathKey:
    """Returns what to remove for an error at `path`: a whole list or, for a missing option, the mapping that needs
    it."""
    first_index = next((place for place, step in enumerate(path) if isinstance(step, int)), len(path))
    return path[:first_index] if first_index < len(path) else path[:-1] if missing else path


def _without(value: object, path: PathKey) -> object:
    if not isinstance(value, dict):
        return value
    if len(path) == 1:
        return {key: item for key, item in value.items() if key != path[0]}
    return {key: _without(item, path[1:]) if key == path[0] else item for key, item in value.items()}


def _attempt(root: type[M], value: object, resolved: Resolved, at: PathKey) -> tuple[M | None, list[ErrorDetails]]:
    """Returns the model, or None and pydantic's errors."""
    try:
        return _strictly(root, value), []
    except ValidationError as error:
        errors = error.errors(include_url=False)
    retyped = value
    for item in errors:
        path = along(value, item["loc"])
        if item["type"] in _NUMBER_OR_SWITCH and (*at, *path) in resolved.whole:
            retyped = _retyped(retyped, path)
    if retyped != value:
        try:
            return _strictly(root, retyped), []
        except ValidationError as error:
            errors = error.errors(include_url=False)
    return None, errors


def along(value: object, loc: tuple[str | int, ...], *, to_mapping: bool = False) -> PathKey:
    """Returns the path in `value` that pydantic's `loc` means, which has extra steps: the branches of unions.

    Of all ways to leave steps out, takes the one that keeps the last step (or, with `to_mapping`, ends at a mapping),
    and of those the longest.
    """
    best = max(_ways(value, loc), key=lambda way: (isinstance(way[1], dict) if to_mapping else way[2], len(way[0])))
    return best[0]


def _ways(value: Any, loc: tuple[str | int, ...]) -> Iterator[tuple[PathKey, object, bool]]:
    """Yields paths, what is there, and whether the last step of `loc` is in them."""
    if not loc:
        yield (), value, False
        return
    step, rest = loc[0], loc[1:]
    yield from _ways(value, rest)
    in_list = isinstance(value, list) and isinstance(step, int) and step < len(value)
    if not in_list and not (isinstance(value, dict) and step in value):
        return
    for path, found, last in _ways(value[step], rest):
        yield (step, *path), found, last or not rest


def _strictly(root: type[M], value: object) -> M:
    """Validates in JSON mode: strict for numbers and booleans, but paths and tuples come from text and lists."""
    return root.model_validate_json(json.dumps(value), strict=True)


def _retyped(value: object, path: PathKey) -> object:
    if not path:
        return read_scalar(value, tag_of(value)) if isinstance(value, str) else value
    if isinstance(value, dict):
        return {key: _retyped(item, path[1:]) if key == path[0] else item for key, item in value.items()}
    if isinstance(value, list):
        return [_retyped(item, path[1:]) if index == path[0] else item for index, item in enumerate(value)]
    return value


def _problems(
    root: type[BaseModel],
    errors: list[ErrorDetails],
    value: object,
    positions: Positions,
    resolved: Resolved,
    at: PathKey,
) -> Iterator[LocatedProblem]:
    """Yields one problem per path: the branches of a union each have an error at the same one."""
    explanations: dict[tuple[PathKey, bool], list[Explanation]] = {}
    for error in errors:
        inner, at_key = _where(error, value)
        path = (*at, *inner)
        if path in resolved.failed:
            continue
        words = explain(error, root, inner, show=path not in resolved.paths)
        explanations.setdefault((path, at_key), []).append(words)
    for (path, at_key), branches in explanations.items():
        place = positions.key(path) if at_key else positions.value(path)
        messages = dict.fromkeys(message for message, _ in branches)
        hints = dict.fromkeys(hint for _, hint in branches if hint)
        name_only = bool(messages) and all(hint == NAME_HINT for _, hint in branches)
        yield LocatedProblem(path, "; or ".join(messages), "; or ".join(hints), *place, name_only=name_only)


def _where(error: ErrorDetails, value: object) -> tuple[PathKey, bool]:
    """Returns the path of an error, and whether its key is what is wrong."""
    loc = error["loc"]
    if error["type"] == "missing":
        return (*along(value, loc[:-1], to_mapping=True), loc[-1]), True
    path = along(value, tuple(step for step in loc if step != "[key]"))
    return path, error["type"] in _AT_KEY or "[key]" in loc


_NAME: TypeAdapter[str] = TypeAdapter(Name)


@dataclass(frozen=True, slots=True)
class SalvagedConfig:
    """The valid parts of a file. Options at or below a path in `lost` have their default value instead of the file's.

    Cameras keep the name they have in the file, even if it is not valid.
    """

    config: Config
    lost: frozenset[PathKey]


def salvage_config(values: Mapping[str, object], resolved: Resolved) -> SalvagedConfig:
    """Returns everything except the invalid options. A camera without a usable source is left out."""
    cameras = values.get("cameras")
    stand_ins = _stand_ins(cameras) if isinstance(cameras, dict) else {}
    sections = {key: value for key, value in values.items() if key != "plugins"}
    if isinstance(cameras, dict):
        sections["cameras"] = {stand_ins.get(name, name): camera for name, camera in cameras.items()}
    salvaged = salvage(Config, sections, resolved)
    if salvaged.model is None:
        return SalvagedConfig(Config(), salvaged.lost)
    names = {stand_in: name for name, stand_in in stand_ins.items()}
    renamed = {names.get(name, name): camera for name, camera in salvaged.model.cameras.items()}
    lost = frozenset(_renamed(path, names) for path in salvaged.lost)
    return SalvagedConfig(salvaged.model.model_copy(update={"cameras": renamed}), lost)


def _stand_ins(cameras: Mapping[str, object]) -> dict[str, str]:
    """Returns valid names for the cameras whose own is not valid."""
    bad = [name for name in cameras if not _is_valid(name)]
    free = (name for name in map("unnamed-{}".format, range(len(cameras) + len(bad))) if name not in cameras)
    return dict(zip(bad, free, strict=False))


def _is_valid(name: str) -> bool:
    try:
        _NAME.validate_python(name)
    except ValidationError:
        return False
    return True


def _renamed(path: PathKey, names: Mapping[str, str]) -> PathKey:
    if len(path) > 1 and path[0] == "cameras" and isinstance(path[1], str):
        return (path[0], names.get(path[1], path[1]), *path[2:])
    return path
