"""Authentication of all web requests; anything not explicitly allowed is rejected.

The control socket admits users of this machine, with the role of their user or groups. Over TCP, if there are tokens,
every client needs one, including local ones. Without tokens, the server listens on loopback only (any other
configuration is refused) and treats programs of this machine as administrators.
"""

from __future__ import annotations

import base64
import binascii
import logging
import math
import re
from collections.abc import Callable, Coroutine, Mapping
from typing import Any
from urllib.parse import urlsplit

from fastapi import HTTPException, Request
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sightd.daemon.config.checks import is_loopback
from sightd.daemon.serve.auth import Access, Peer, Principal, Reason, Role, Server
from sightd.daemon.serve.http.bodies import JsonRoute
from sightd.daemon.serve.http.routes_console import is_console

log = logging.getLogger(__name__)

PEER = "sightd.peer"
"""Key in the state of a request's scope: the `Peer` of a control socket connection."""
HEADER = "X-Sightd"
"""CSRF header, required to change anything if the browser sends the token automatically: foreign pages cannot set
it."""
_OPEN = frozenset({"/healthz"})
"""For supervisors; reveals nothing else. The console's files are open too."""
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.~!$&'()*+,;=%-]*)(:\d{0,5})?", re.ASCII)
"""RFC 9110, 7.2. Anything else is rejected, since a library that parses it differently could then decide on access."""
_SERVER: Server = "http"
_PRINCIPAL = "sightd.visitor"
_FORWARDED = frozenset({"forwarded", "via", "x-real-ip"})
_THIS_MACHINE = Principal("this machine", Role.ADMIN)
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_STANDARD_PORTS = {"http": ":80", "https": ":443"}
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="sightd", charset="UTF-8"'}


class _RefusedError(Exception):
    def __init__(self, status: int, reason: Reason, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.answer = JSONResponse({"detail": detail}, status_code=status, headers=headers)


class AuthMiddleware:
    """ASGI middleware. Streams pass unbuffered; bodies of rejected requests are not read. WebSockets open only for
    programs and for pages of this server: no browser keeps a foreign page from opening one, and credentials go with
    it."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):  # nothing else is served; "lifespan" is off
            return
        request = HTTPConnection(scope)
        if not _HOST.fullmatch(request.headers.get("host", "")):
            self._access.refused(_SERVER, _address(request), "invalid")
            await JSONResponse({"detail": "The Host header must be HOST or HOST:PORT."}, 400)(scope, receive, send)
            return
        path = scope["path"]  # used for routing; a URL is built from the Host header, and drops tabs
        if path in _OPEN or (is_console(path) and _reads(request)):
            await self._app(scope, receive, send)
            return
        try:
            principal = scope[_PRINCIPAL] = self._principal(request)
        except _RefusedError as refusal:
            self._access.refused(_SERVER, _address(request), refusal.reason, request.headers.get("authorization"))
            await refusal.answer(scope, receive, send)
            return
        if _reads(request):
            await self._app(scope, receive, send)
        else:
            await self._app(scope, receive, _logging_changes(scope, principal, send))

    def _principal(self, request: HTTPConnection) -> Principal:
        if request.scope["type"] == "websocket" and not is_own_page(request):
            raise _RefusedError(403, "foreign", "Pages of other origins must not open a WebSocket.")
        peer = request.scope.get("state", {}).get(PEER)
        if peer is not None:  # browsers cannot use a Unix socket, so no page caused this
            principal, may_be_led = self._peer_principal(request, peer), False
        elif self._access.token_store:
            principal, may_be_led = self._token_principal(request)
        else:
            principal, may_be_led = _of_this_machine(request), True
        if may_be_led and not _reads(request) and HEADER.lower() not in request.headers:
            raise _RefusedError(403, "foreign", f"Requests that change something must have the header {HEADER}: 1.")
        return principal

    def _peer_principal(self, request: HTTPConnection, peer: Peer) -> Principal:
        if _is_forwarded(request):
            told = (
                "The control socket must not be used through a proxy: all its clients would get the role of the proxy."
            )
            raise _RefusedError(403, "foreign", told)
        principal = self._access.peers.principal(peer)
        if principal is None:
            told = (
                f"{peer.name} has no role: use sudo, or give one of the user's groups a role with "
                "control.groups in the configuration."
            )
            raise _RefusedError(403, "role", told)
        return principal

    def _token_principal(self, request: HTTPConnection) -> tuple[Principal, bool]:
        """Returns the token's holder, and whether a web page could have made the browser send the token."""
        if wait := self._access.login_throttles[_SERVER].wait(_address(request)):
            told = "Too many wrong tokens from this address: try again later."
            raise _RefusedError(429, "limited", told, {"Retry-After": str(math.ceil(wait))})
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if not given:
            told = (
                "A token is required: send Authorization: Bearer TOKEN, or the token's name and the token as "
                "user and password."
            )
            raise _RefusedError(401, "missing", told, _CHALLENGE)
        by_browser = scheme.lower() == "basic"
        name, token = _name_and_token(given) if by_browser else (None, given.strip())
        principal = self._access.token_store.principal(token, name)
        if principal is None:
            raise _RefusedError(
                401, "wrong", "This token is not in access.tokens, or has a different name there.", _CHALLENGE
            )
        return principal, by_browser


def at_least(role: Role, access: Access) -> type[APIRoute]:
    """Returns a route class that rejects requests whose role is below `role`. Not a dependency: FastAPI reads and
    parses the body, which may be large, before those run."""

    def refuse(request: Request) -> None:
        principal: Principal = request.scope[_PRINCIPAL]
        if principal.role < role:
            access.refused(_SERVER, _address(request), "role")
            told = f'This requires the role "{role!s}"; {principal.name} has the role "{principal.role!s}".'
            raise HTTPException(403, told)

    class Guarded(JsonRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def guarded(request: Request) -> Response:
                refuse(request)
                return await handle(request)

            return guarded

    return Guarded


def _reads(request: HTTPConnection) -> bool:
    return request.scope["type"] == "websocket" or request.scope["method"] in _READS


def is_own_page(request: HTTPConnection) -> bool:
    """Whether a WebSocket is opened by a page of this server, or by a program: browsers always send Origin (RFC 6455,
    4.1). If TLS ends here, a page without it is foreign."""
    origins = request.headers.getlist("origin")
    if not origins:
        return True
    try:
        origin = urlsplit(origins[0])
    except ValueError:
        return False
    port = _STANDARD_PORTS.get(origin.scheme)
    if len(origins) > 1 or port is None or (request.url.scheme == "wss" and origin.scheme != "https"):
        return False
    host = request.headers.get("host", "")
    return origin.netloc.lower().removesuffix(port) == host.lower().removesuffix(port)


def _of_this_machine(request: HTTPConnection) -> Principal:
    if not is_loopback(request.url.hostname or ""):  # e.g. DNS rebinding by a foreign page
        told = "Without access.tokens, sightd only accepts requests for 127.0.0.1 and localhost."
        raise _RefusedError(403, "foreign", told)
    if _is_forwarded(request):
        told = "Without access.tokens, sightd only accepts requests from this machine, and not through a proxy."
        raise _RefusedError(403, "foreign", told)
    return _THIS_MACHINE


def _is_forwarded(request: HTTPConnection) -> bool:
    return any(name in _FORWARDED or name.startswith("x-forwarded-") for name in request.headers)


def _name_and_token(given: str) -> tuple[str | None, str]:
    try:
        name, separator, token = base64.b64decode(given, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None, ""
    return (name, token) if separator else (None, "")


def _logging_changes(scope: Scope, principal: Principal, send: Send) -> Send:
    """Logs who changed what, with the route instead of the path, which may contain a person's name."""

    async def send_and_log(message: Message) -> None:
        if message["type"] == "http.response.start":
            route = getattr(scope.get("route"), "path", "an unknown route")
            method, status = scope["method"], message["status"]
            log.info("%s (%s): %s %s, answered %d", principal.name, principal.role, method, route, status)
        await send(message)

    return send_and_log


def _address(request: HTTPConnection) -> str:
    return request.client.host if request.client else "an unknown address"
