"""Which routes a plug-in's class declares, what their handlers get, and whose paths they are."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel

from sightd.plugins.api import ROUTE_ENTRY_POINT_GROUP, AnyPlugin, Role, Route

RESERVED_QUERY = frozenset({"plugin"})
"""Fields of the query that every route has, to choose the plug-in instance."""
_METHODS: frozenset[str] = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_ROLES: frozenset[str] = frozenset(get_args(Role))


@dataclass(frozen=True, slots=True)
class Handler:
    """What a route's handler gets besides the service, and returns: annotations. `values` are the parts of the path by
    name; `query` and `body` are None if it has no such parameter."""

    values: Mapping[str, Any]
    query: type[BaseModel] | None
    body: Any
    returns: Any

    @classmethod
    def of(cls, route: Route) -> Handler:
        """Raises TypeError if the handler is not annotated as `Route` describes."""
        hints = get_type_hints(route.handler, include_extras=True)
        values = re.findall(r"{(\w+)}", route.path)
        wanted = [name for name in ("query", "body") if name in inspect.signature(route.handler).parameters]
        if missing := [name for name in (*values, *wanted) if name not in hints]:
            raise TypeError(f"{route.handler.__qualname__} needs annotations for {', '.join(missing)}")
        query = hints["query"] if "query" in wanted else None
        if query is not None and not _is_query(query):
            raise TypeError(f"query must be a pydantic model without the fields {', '.join(RESERVED_QUERY)}")
        body = hints["body"] if "body" in wanted else None
        return cls({name: hints[name] for name in values}, query, body, hints.get("return"))


def _is_query(model: object) -> bool:
    return isinstance(model, type) and issubclass(model, BaseModel) and not RESERVED_QUERY & model.model_fields.keys()


def route_problems(plugin: type[AnyPlugin]) -> Iterator[str]:
    """Yields what is wrong with the routes that a class declares: each must be usable, unique, and below a path that is
    registered for this plug-in and no other."""
    seen: set[tuple[str, str]] = set()
    for route in plugin.routes:
        if not isinstance(route, Route):
            yield f"routes contains {type(route).__name__}, expected Route"
            continue
        name = f"{route.method} {route.path}"
        yield from (f"{name}: {problem}" for problem in _problems_of(route))
        operation = (route.method, re.sub(r"{\w+}", "{}", route.path))
        if operation in seen:
            yield f"{name}: another route has the same method and path"
        seen.add(operation)
    for first in dict.fromkeys(first_part(route.path) for route in plugin.routes if isinstance(route, Route)):
        yield from _registration_problems(first, plugin)


def first_part(path: str) -> str:
    """Returns the first part of a route's path, which is registered for the plug-in."""
    return path.removeprefix("/").partition("/")[0]


def _problems_of(route: Route) -> Iterator[str]:
    if not route.path.startswith("/") or route.path.endswith("/") or "?" in route.path:
        yield "write the path as /name or /name/{value}, without a query"
    if "{" in first_part(route.path):
        yield "the first part of the path must be a fixed name"
    if route.method not in _METHODS:
        yield f"method must be one of {', '.join(sorted(_METHODS))}"
    if route.role not in _ROLES:
        yield f"role must be one of {', '.join(sorted(_ROLES))}"
    if not route.summary.strip():
        yield "summary is empty"
    try:
        Handler.of(route)
    except Exception as error:  # noqa: BLE001 — a third party's annotations
        yield str(error)


def _registration_problems(first: str, plugin: type[AnyPlugin]) -> Iterator[str]:
    entries = [entry for entry in entry_points(group=ROUTE_ENTRY_POINT_GROUP) if entry.name == first]
    if others := {entry.value for entry in entries if not _refers_to(entry, plugin)}:
        yield f"/{first}: this path is registered for {', '.join(sorted(others))}; choose another one"
    elif not entries:
        yield (
            f"/{first}: this path is not registered: add {first} = "
            f'"{plugin.__module__}:{plugin.__qualname__}" to [project.entry-points."{ROUTE_ENTRY_POINT_GROUP}"]'
        )


def _refers_to(entry: EntryPoint, plugin: object) -> bool:
    """Whether an entry point refers to this class, which is imported. Imports nothing."""
    found: object = sys.modules.get(entry.module)
    for name in entry.attr.split("."):
        found = getattr(found, name, None)
    return found is plugin
