"""Finds the option at a path of the file in the pydantic models."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, RootModel
from pydantic.fields import FieldInfo

from sightd.daemon.config.problems import PathKey


def model_at(root: type[BaseModel], path: PathKey) -> type[BaseModel] | None:
    """Returns the model whose options are at `path`; None if the path leads to something else."""
    found: Any = root
    for step in path:
        found = _below(found, step)
    return next(iter(_models(found)), None)


def field_at(root: type[BaseModel], path: PathKey) -> FieldInfo | None:
    """Returns the option at `path`; None if there is none."""
    if not path or not isinstance(path[-1], str):
        return None
    owner = model_at(root, path[:-1])
    return owner.model_fields.get(path[-1]) if owner else None


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
