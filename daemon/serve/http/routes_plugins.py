"""Adds the routes that plug-ins declare to the API: access, limits, and answers as for all other routes.

Only plug-ins in use are imported. Requests for routes of others are answered with what to configure."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field, create_model
from starlette.types import Receive, Scope, Send

from sightd.daemon.serve.auth import Access, Role
from sightd.daemon.serve.http.auth import at_least
from sightd.daemon.serve.http.bodies import report_unavailable, require_values
from sightd.engines.errors import EngineError
from sightd.plugins.api import Answer, InvalidRequestError, PluginService, RefusedError, Route
from sightd.plugins.configuration import registry
from sightd.plugins.configuration.routes import Handler

log = logging.getLogger(__name__)

ServiceSource = Callable[[str, str | None], PluginService]
"""Returns the service of a plug-in (kind) by the name of its instance, or the only one (None), for each request. Raises
RefusedError."""
PREFIX = "/api/v1"


class _Chosen(BaseModel):
    """The part of the query that all routes have (`RESERVED_QUERY`)."""

    plugin: str | None = Field(None, max_length=63)


class PluginRoutes:
    """The routes of plug-ins in an application. `add` must not run twice at the same time."""

    def __init__(self, app: FastAPI, service: ServiceSource, access: Access) -> None:
        self._app, self._service, self._access = app, service, access
        self._added: set[str] = set()
        self._taken = set(_operations(app.routes))
        self._not_found, app.router.default = app.router.default, self._unmatched
        app.add_exception_handler(RefusedError, _refused)
        app.add_exception_handler(EngineError, report_unavailable)

    def add(self, kind: str, routes: Sequence[Route]) -> None:
        """Adds the routes of the plug-in `kind`, unless it has them already. A route that is declared wrongly, or that
        is already taken, is logged and left out."""
        if kind in self._added:
            return
        self._added.add(kind)
        for role in Role:
            router = APIRouter(prefix=PREFIX, tags=[kind], route_class=at_least(role, self._access))
            for route in routes:
                if Role[route.role.upper()] is role:
                    self._add(router, kind, route)
            self._app.include_router(router)
        self._app.openapi_schema = None  # it is cached

    @cached_property
    def _owners(self) -> Mapping[str, Sequence[str]]:
        return registry.route_owners()

    async def _unmatched(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Called for requests that no route matches."""
        if scope["type"] == "http":
            await run_in_threadpool(self._require_added, scope["path"])
        await self._not_found(scope, receive, send)

    def _require_added(self, path: str) -> None:
        """Raises RefusedError if an installed plug-in whose routes are not added has routes at this path."""
        base, _, below = path.partition(f"{PREFIX}/")
        owners = () if base else self._owners.get(below.partition("/")[0], ())
        for kind in owners:
            if kind not in self._added:
                self._service(kind, None)

    def _add(self, router: APIRouter, kind: str, route: Route) -> None:
        at = (route.method, PREFIX + route.path)
        if at in self._taken:
            log.error("plug-in %s: the API already has %s %s; its route is left out", kind, *at)
            return
        options: dict[str, Any] = {} if route.max_body is None else {"max_body_size": route.max_body}
        try:
            endpoint = _endpoint(route, lambda plugin: self._service(kind, plugin))
            if inspect.signature(endpoint).return_annotation is Response:
                options["response_class"] = Response
            router.add_api_route(
                route.path, endpoint, methods=[route.method], summary=route.summary, status_code=route.status, **options
            )
        except Exception as error:  # noqa: BLE001 — a third party's declaration
            log.error("plug-in %s: its route %s %s is left out: %s: %s", kind, *at, type(error).__name__, error)
        else:
            self._taken.add(at)


def _operations(routes: Iterable[Any]) -> Iterator[tuple[str, str]]:
    """Yields method and path of each route; FastAPI keeps included routers as they are."""
    for route in routes:
        if included := getattr(route, "original_router", None):
            yield from _operations(included.routes)
        for method in getattr(route, "methods", None) or ():
            yield method, route.path


def _endpoint(route: Route, service: Callable[[str | None], PluginService]) -> Callable[..., Any]:
    """Returns a function for FastAPI whose signature says what the route's handler needs. Raises TypeError if the
    handler is not annotated as `Route` describes."""
    handler = Handler.of(route)
    wanted = [name for name, kind in (("query", handler.query), ("body", handler.body)) if kind is not None]
    query = _Chosen if handler.query is None else _with_choice(handler.query)

    def call(given: Mapping[str, Any]) -> Any:
        chosen = given["query"]
        passed = {name: given[name] for name in (*handler.values, *wanted)}
        return _response(route.handler(service(chosen.plugin), **passed), route.status)

    def render(found: Any) -> Any:
        return found if found is None or isinstance(found, Response) else JSONResponse(found, route.status)

    async def answer_bytes(request: Request, **given: Any) -> Any:
        body = await request.body()

        def work() -> Any:
            if route.max_values is not None:
                require_values(body, route.max_values)
            return render(call({**given, "body": body}))

        return await run_in_threadpool(work)

    def answer(**given: Any) -> Any:
        return call(given)

    types: dict[str, Any] = {**handler.values, "query": Annotated[query, Query()]}
    endpoint: Callable[..., Any] = answer
    if handler.body is bytes:
        types["request"], endpoint = Request, answer_bytes
    elif handler.body is not None:
        types["body"] = handler.body
    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind) for name, kind in types.items()
    ]
    answered = {Answer: Response, type(None): None}.get(handler.returns, handler.returns)
    vars(endpoint)["__signature__"] = inspect.Signature(parameters, return_annotation=answered)
    endpoint.__name__ = route.handler.__name__
    endpoint.__doc__ = route.handler.__doc__
    return endpoint


def _with_choice(model: type[BaseModel]) -> type[BaseModel]:
    """Returns the model with the fields that every route has."""
    chosen: type[BaseModel] = create_model(model.__name__, __base__=(model, _Chosen))
    return chosen


def _response(found: Any, status: int) -> Any:
    """Returns what the handler returned in the form that `bodies.JsonRoute` renders."""
    if not isinstance(found, Answer):
        return found
    status = found.status or status
    if isinstance(found.content, bytes):
        return Response(found.content, status, media_type=found.media_type)
    return JSONResponse(found.content, status, media_type=found.media_type)


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    key = "detail" if isinstance(error, InvalidRequestError) else "error"
    return JSONResponse({key: str(error)}, status_code=error.status)
