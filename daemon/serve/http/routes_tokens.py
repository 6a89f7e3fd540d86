"""Tokens over HTTP, for administrators: those of the configuration are listed, others also created and revoked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict

from sightd.daemon.config.section import Name, RoleName
from sightd.daemon.serve.auth import Access, Role
from sightd.daemon.serve.http.auth import at_least
from sightd.daemon.serve.http.bodies import report_unavailable
from sightd.daemon.serve.stored_tokens import MOST_TOKENS, TokenFileError, TokenLimitError

_NOT_STORED = "This daemon stores no tokens."
_NO_LOGIN = (
    "Without access.tokens every program of this machine is an administrator, so a token would restrict nobody. Add a "
    "first one with the role admin to the configuration (`sightd token` creates it), restart, and create others here."
)


class NewToken(BaseModel):
    """The body of a request for a new token."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    role: RoleName


def add_tokens(app: FastAPI, access: Access) -> None:
    """Adds the routes."""
    app.add_exception_handler(TokenFileError, report_unavailable)
    router = APIRouter(prefix="/api/v1/tokens", tags=["login"], route_class=at_least(Role.ADMIN, access))

    @router.get("", summary="Names and roles of all tokens; never the tokens themselves")
    def tokens() -> list[dict[str, Any]]:
        return list(_listed(access))

    @router.post("", summary="Create a token, which only this answer contains", status_code=201)
    def create(body: NewToken) -> Response:
        if access.stored is None or not access.requires_login:
            return _conflict(_NOT_STORED if access.stored is None else _NO_LOGIN)
        if body.name in access.tokens:
            return _conflict(f"The configuration has a token {body.name}: choose another name.")
        try:
            token = access.stored.create(body.name, body.role)
        except KeyError:
            return _conflict(f"There is a token {body.name} already: choose another name, or revoke it first.")
        except TokenLimitError:
            return _conflict(f"There are {MOST_TOKENS} tokens already: revoke one first.")
        created = access.stored.tokens[body.name].created
        return JSONResponse({**_described(access, body.name, body.role, created), "token": token}, 201)

    @router.delete("/{name}", summary="Revoke a token; its sessions end", status_code=204, response_class=Response)
    def revoke(name: str) -> Response:
        try:
            if access.stored is None:
                raise KeyError(name)
            access.stored.revoke(name)
        except KeyError:
            if name in access.tokens:
                told = f"The token {name} is in the configuration: remove it from access.tokens there, and restart."
                return _conflict(told)
            return JSONResponse({"detail": f"There is no token {name!r}."}, 404)
        return Response(status_code=204)

    app.include_router(router)


def _listed(access: Access) -> Iterator[dict[str, Any]]:
    for name, token in access.tokens.items():
        yield _described(access, name, token.role, None)
    for name, stored in () if access.stored is None else access.stored.tokens.items():
        yield _described(access, name, stored.role, stored.created)


def _described(access: Access, name: str, role: RoleName, created: datetime | None) -> dict[str, Any]:
    """A token without `created` is in the configuration. `last_used` is None if it was not used since the start."""
    used = access.last_used.get(name)
    return {
        "name": name,
        "role": role,
        "source": "configuration" if created is None else "api",
        "created": None if created is None else _iso(created),
        "last_used": None if used is None else _iso(datetime.fromtimestamp(used, UTC)),
    }


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")


def _conflict(detail: str) -> Response:
    return JSONResponse({"detail": detail}, 409)
