"""Login of browsers: which kinds there are, a session for a token, its end, and who is asking."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from sightd.daemon.serve.auth import Access, Principal, Role
from sightd.daemon.serve.http.auth import OpenRoute, principal_of
from sightd.daemon.serve.http.bodies import JsonRoute
from sightd.daemon.serve.http.credentials import forget_cookie, presented_cookie, set_cookie
from sightd.daemon.serve.http.identity import SERVER, RejectedError, require_own_page, require_patience
from sightd.daemon.serve.http.origin import address_of

log = logging.getLogger(__name__)

_MOST_BODY = 4096


class TokenLogin(BaseModel):
    """The body of a login."""

    model_config = ConfigDict(extra="forbid")
    token: SecretStr = Field(min_length=1, max_length=1024)


def add_login(app: FastAPI, access: Access) -> None:
    """Adds the routes."""
    _add_open(app, access)
    router = APIRouter(prefix="/api/v1", tags=["login"], route_class=JsonRoute)

    @router.get("/me", summary="Who is asking, with which role, and how this was found out")
    async def me(request: Request) -> Response:
        return JSONResponse(_described(principal_of(request), access))

    @router.post("/logout", summary="End the session of this browser; `redirect` is where to go next, if anywhere")
    async def logout(request: Request) -> Response:
        secret = presented_cookie(request)
        session = None if secret is None else access.sessions.take(secret)
        ended = session.id_token if session is not None else None
        redirect = None if access.oidc is None or ended is None else access.oidc.provider.end_session_url(ended)
        response = JSONResponse({"redirect": redirect})
        forget_cookie(request, response)
        return response

    app.include_router(router)


def _add_open(app: FastAPI, access: Access) -> None:
    router = APIRouter(prefix="/api/v1", tags=["login"], route_class=OpenRoute)

    @router.get("/login", summary="Which kinds of login there are; requires no token")
    async def kinds() -> Response:
        return JSONResponse(_kinds(access))

    @router.post("/login", summary="Begin a session with a token, for browsers", max_body_size=_MOST_BODY)
    async def login(request: Request, body: TokenLogin) -> Response:
        token, address = body.token.get_secret_value(), address_of(request)
        try:
            require_own_page(request)
            require_patience(request, access)
        except RejectedError as rejection:
            access.refused(SERVER, address, rejection.reason)
            return rejection.answer
        begun = await run_in_threadpool(access.log_in, token)
        if begun is None:
            access.refused(SERVER, address, "wrong", token)
            return JSONResponse({"detail": "This token is unknown, or was revoked."}, status_code=401)
        principal, secret = begun
        log.info("%s (%s) has logged in from %s", principal.name, principal.role, address)
        response = JSONResponse(_described(principal, access))
        set_cookie(request, response, secret)
        return response

    app.include_router(router)


def _kinds(access: Access) -> dict[str, bool]:
    """Both are false if no login is required."""
    return {"token": bool(access.token_store), "oidc": access.oidc is not None}


def _described(principal: Principal, access: Access) -> dict[str, Any]:
    roles = [str(role) for role in Role if role <= principal.role]
    return {
        "name": principal.name,
        "role": str(principal.role),
        "roles": roles,
        "how": principal.how,
        "login": _kinds(access),
    }
