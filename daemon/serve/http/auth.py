"""Authentication of all web requests; anything not explicitly allowed is rejected: a route needs a principal, and at
least the role `at_least` says, unless it is an `OpenRoute`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

from fastapi import HTTPException, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sightd.daemon.serve.auth import Access, Principal, Role
from sightd.daemon.serve.http import identity
from sightd.daemon.serve.http.bodies import JsonRoute
from sightd.daemon.serve.http.identity import SERVER, RejectedError
from sightd.daemon.serve.http.origin import address_of, reads

log = logging.getLogger(__name__)

_PRINCIPAL = "sightd.principal"


class OpenRoute(JsonRoute):
    """A route for everyone, without a token: it must reveal nothing of this installation, and check what it is given
    itself. Declared by `APIRouter(route_class=OpenRoute)`, before all other routes that match the same paths."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **_stating("none", options))


def _stating(role: str, options: dict[str, Any]) -> dict[str, Any]:
    """Returns options of a route, with its role for OpenAPI."""
    return {**options, "openapi_extra": {"x-role": role, **(options.get("openapi_extra") or {})}}


def open_routes(routes: Sequence[BaseRoute]) -> Iterator[OpenRoute]:
    """Yields the routes that need no token, also those of included routers, which FastAPI keeps as they are."""
    for route in routes:
        if (included := getattr(route, "original_router", None)) is not None:
            yield from open_routes(included.routes)
        elif isinstance(route, OpenRoute):
            yield route


def principal_of(request: HTTPConnection) -> Principal:
    """Returns who sent a request that was let in."""
    principal: Principal = request.scope[_PRINCIPAL]
    return principal


class AuthMiddleware:
    """ASGI middleware. Streams pass unbuffered; bodies of rejected requests are not read. WebSockets open only for
    programs and for pages of this server: no browser keeps a foreign page from opening one, and credentials go with
    it."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access
        self._open: Sequence[OpenRoute] | None = None
        """Known from the first request on: middleware is created before all routes are there."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):  # nothing else is served; "lifespan" is off
            return
        request = HTTPConnection(scope)
        try:
            identity.require_valid(request)
            if self._is_open(scope):
                await self._app(scope, receive, send)
                return
            principal = scope[_PRINCIPAL] = identity.principal_of(request, self._access)
        except RejectedError as rejection:
            guess = request.headers.get("authorization")
            self._access.refused(SERVER, address_of(request), rejection.reason, guess)
            await rejection.answer(scope, receive, send)
            return
        if reads(request):
            await self._app(scope, receive, send)
        else:
            await self._app(scope, receive, _logging_changes(scope, principal, send))

    def _is_open(self, scope: Scope) -> bool:
        """Matches as the router does; a URL is built from the Host header, and drops tabs."""
        if scope["type"] != "http":
            return False
        if self._open is None:
            self._open = tuple(open_routes(scope["app"].routes))
        asked = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        return any(route.matches(asked)[0] is Match.FULL for route in self._open)


def at_least(role: Role, access: Access) -> type[APIRoute]:
    """Returns a route class that rejects requests whose role is below `role`. Not a dependency: FastAPI reads and
    parses the body, which may be large, before those run."""

    def refuse(request: Request) -> None:
        principal = principal_of(request)
        if principal.role < role:
            access.refused(SERVER, address_of(request), "role")
            told = f'This requires the role "{role!s}"; {principal.name} has the role "{principal.role!s}".'
            raise HTTPException(403, told)

    class Guarded(JsonRoute):
        def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
            super().__init__(path, endpoint, **_stating(str(role), options))

        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def guarded(request: Request) -> Response:
                refuse(request)
                return await handle(request)

            return guarded

    return Guarded


def _logging_changes(scope: Scope, principal: Principal, send: Send) -> Send:
    """Logs who changed what, with the route instead of the path, which may contain a person's name."""

    async def send_and_log(message: Message) -> None:
        if message["type"] == "http.response.start":
            route = getattr(scope.get("route"), "path", "an unknown route")
            method, status = scope["method"], message["status"]
            log.info("%s (%s): %s %s, answered %d", principal.name, principal.role, method, route, status)
        await send(message)

    return send_and_log
