"""Routes for programs of this machine alone, until there are tokens and roles.

They are served where the server listens on loopback, to requests that name it by a loopback name (a foreign page's name
that was pointed here is refused) and come through no proxy, and what changes something must carry a header that no
foreign page can send.
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute

HEADER = "X-Sightd"
_FORWARDED = frozenset({"forwarded", "via", "x-real-ip"})
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1", "[::1]"})


def guard(what: str) -> Callable[[Request], None]:
    """A dependency that refuses other requests; `what` is named in its answers."""

    def refuse(request: Request) -> None:
        if (request.url.hostname or "") not in _LOOPBACK:
            raise HTTPException(403, f"{what} is served to 127.0.0.1 and localhost alone.")
        if any(name in _FORWARDED or name.startswith("x-forwarded-") for name in request.headers):
            raise HTTPException(403, f"{what} is served to programs of this machine alone, not through a proxy.")
        if request.method not in ("GET", "HEAD") and HEADER.lower() not in request.headers:
            raise HTTPException(403, f"What changes something carries the header {HEADER}: 1.")

    return refuse


def include(app: FastAPI, router: APIRouter, host: str, what: str) -> None:
    """Adds the routes where the server listens on loopback (`host`); elsewhere they say why they are not there."""
    if host in _LOOPBACK:
        app.include_router(router)
        return

    async def elsewhere() -> Response:
        told = f"{what} is served on loopback alone: set http.host to 127.0.0.1."
        return JSONResponse({"detail": told}, status_code=403)

    for route in router.routes:
        if isinstance(route, APIRoute):  # no body of theirs is read
            app.add_api_route(route.path, elsewhere, methods=sorted(route.methods or ()), include_in_schema=False)
