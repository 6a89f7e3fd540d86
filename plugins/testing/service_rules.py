"""Rules for plug-ins that offer a service: what they declare, and how the service and its routes answer."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import NoneType
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_jsonable_python

from sightd.engines.errors import EngineError
from sightd.plugins.api import Answer, Mode, PluginService, RefusedError, Route, ServiceContext, Storage
from sightd.plugins.configuration.routes import Handler, route_problems
from sightd.plugins.testing.subject import BrokenRuleError, Rule, Subject

_EXAMPLES = ("nothing-of-this-name", 0, "0", "2020-01-01T00:00:00Z")
"""Values for the parts of a path; the first that fits the annotation is used."""


def _declares_routes(subject: Subject) -> None:
    if problems := list(route_problems(subject.plugin)):
        raise BrokenRuleError("; ".join(problems))


def _opens_its_service(subject: Subject) -> None:
    with _service(subject) as service:
        if service is None:
            return
        storage = service.storage()
        if not isinstance(storage, Storage | NoneType):
            raise BrokenRuleError(f"storage returned {type(storage).__name__}, expected Storage or None")
        if storage is not None and not isinstance(fault := service.recover(), str | NoneType):
            raise BrokenRuleError(f"recover returned {type(fault).__name__}, expected a message or None")
        service.close()  # and once more at the end of the block


def _answers_its_routes(subject: Subject) -> None:
    with _service(subject) as service:
        if service is None and subject.plugin.routes:
            raise BrokenRuleError("declares routes, but open_service returned None")
        for route in subject.plugin.routes:
            if route.method == "GET":
                _answers(route, service)


def _answers(route: Route, service: PluginService | None) -> None:
    """Calls a handler with example values. A query that requires values cannot be made up: such a route is skipped."""
    handler, name = Handler.of(route), f"{route.method} {route.path}"
    values: dict[str, Any] = {part: _example(kind) for part, kind in handler.values.items()}
    if handler.query is not None:
        try:
            values["query"] = handler.query()
        except ValidationError:
            return
    if handler.body is not None:
        return
    try:
        found = route.handler(service, **values)
    except (RefusedError, EngineError):
        return
    except Exception as error:
        raise BrokenRuleError(
            f"{name}: the handler raised {type(error).__name__}: {error}; clients get status 500: raise a RefusedError"
        ) from error
    if isinstance(found, Answer) and isinstance(found.content, bytes):
        return
    content = found.content if isinstance(found, Answer) else found
    if content is not None and route.status == 204 and not isinstance(found, Answer):
        raise BrokenRuleError(f"{name}: the handler returned a value, but status 204 has no content")
    try:
        to_jsonable_python(content)
    except (PydanticSerializationError, ValueError) as error:
        raise BrokenRuleError(f"{name}: the answer cannot be written as JSON: {error}") from None


def _example(kind: Any) -> Any:
    for value in (*get_args(kind), *_EXAMPLES):
        try:
            return TypeAdapter(kind).validate_python(value)
        except ValidationError:
            continue
    raise BrokenRuleError(f"a part of a path is annotated with {kind}, which no text fits")


@contextmanager
def _service(subject: Subject) -> Iterator[PluginService | None]:
    """Opens the service as the daemon does, with an empty state directory; closes it."""
    with tempfile.TemporaryDirectory(prefix="sightd-check-") as folder:
        environ: Mapping[str, str] = {**os.environ, "SIGHTD_STATE_DIR": folder}
        context = ServiceContext(environ, subject.engine)
        service = subject.plugin.open_service(subject.config(), context, Mode.SERVE)
        if not isinstance(service, PluginService | NoneType):
            raise BrokenRuleError(f"open_service returned {type(service).__name__}, expected a PluginService or None")
        try:
            yield service
        finally:
            if service is not None:
                service.close()


SERVICE_DECLARATION: dict[str, Rule] = {"declares its routes": _declares_routes}
SERVICE_BEHAVIOUR: dict[str, Rule] = {
    "has a service that can be opened and closed": _opens_its_service,
    "answers requests for its routes": _answers_its_routes,
}
