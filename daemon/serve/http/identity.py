"""Decides who sent a request, or why it is rejected.

The control socket admits users of this machine, with the role of their user or groups. Over TCP, if there are tokens,
every client needs one, including local ones; a browser may exchange it for a session, and a trusted reverse proxy may
name a user instead. Without any login, the server listens on loopback only (any other configuration is refused) and
treats programs of this machine as administrators.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from fastapi.responses import JSONResponse
from starlette.requests import HTTPConnection

from sightd.daemon.config.section import is_loopback
from sightd.daemon.serve.auth import Access, Peer, Principal, Reason, Role, Server, highest
from sightd.daemon.serve.http.credentials import Presented, presented_cookie, presented_token
from sightd.daemon.serve.http.origin import (
    HEADER,
    address_of,
    has_valid_host,
    is_forwarded,
    is_own_page,
    is_sent_by_console,
    reads,
)
from sightd.daemon.serve.proxy_login import InvalidUserError

PEER = "sightd.peer"
"""Key in the state of a request's scope: the `Peer` of a control socket connection."""
CONNECTION = "sightd.connection"
"""Key in the state of a request's scope: the address that a TCP connection comes from, whatever headers say."""
SERVER: Server = "http"
_THIS_MACHINE = Principal("this machine", Role.ADMIN, "loopback")
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="sightd", charset="UTF-8"'}
_SILENT_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="sightd"'}
"""Browsers do not ask for anything themselves."""


class RejectedError(Exception):
    """A request is rejected, with an answer that reveals nothing but why."""

    def __init__(self, status: int, reason: Reason, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.answer = JSONResponse({"detail": detail}, status_code=status, headers=headers)


def require_valid(request: HTTPConnection) -> None:
    """Rejects what no client may send. Raises RejectedError."""
    if not has_valid_host(request):
        raise RejectedError(400, "invalid", "The Host header must be HOST or HOST:PORT.")
    if request.scope["type"] == "websocket" and not is_own_page(request):
        raise RejectedError(403, "foreign", "Pages of other origins must not open a WebSocket.")


def require_own_page(request: HTTPConnection) -> None:
    """Rejects requests that a foreign page could have made the browser send. Raises RejectedError."""
    if HEADER.lower() not in request.headers:
        raise RejectedError(403, "foreign", f"Requests that change something must have the header {HEADER}: 1.")
    if not is_own_page(request):
        raise RejectedError(403, "foreign", "Pages of other origins must not change anything.")


def require_patience(request: HTTPConnection, access: Access) -> None:
    """Rejects an address that has sent too many wrong tokens. Raises RejectedError."""
    if wait := access.login_throttles[SERVER].wait(address_of(request)):
        told = "Too many wrong tokens from this address: try again later."
        raise RejectedError(429, "limited", told, {"Retry-After": str(math.ceil(wait))})


def principal_of(request: HTTPConnection, access: Access) -> Principal:
    """Returns who sent a request. Raises RejectedError."""
    peer = request.scope.get("state", {}).get(PEER)
    if peer is not None:  # browsers cannot use a Unix socket, so no page caused this
        return _of_peer(request, peer, access)
    if not access.requires_login:
        principal = _of_this_machine(request)
    else:
        presented = presented_token(request)
        if presented is not None and not presented.by_browser:
            return _of_token(request, presented, access)  # no page can make a browser send a bearer
        principal = _of_proxy(request, access) or _in_session(request, access) or _of_token(request, presented, access)
    if not reads(request):
        require_own_page(request)
    return principal


def _of_peer(request: HTTPConnection, peer: Peer, access: Access) -> Principal:
    if is_forwarded(request):
        told = "The control socket must not be used through a proxy: all its clients would get the role of the proxy."
        raise RejectedError(403, "foreign", told)
    principal = access.peers.principal(peer)
    if principal is None:
        told = (
            f"{peer.name} has no role: use sudo, or give one of the user's groups a role with "
            "control.groups in the configuration."
        )
        raise RejectedError(403, "role", told)
    return principal


def _of_proxy(request: HTTPConnection, access: Access) -> Principal | None:
    """Returns the user that a trusted proxy names; None if there is none."""
    proxy = access.proxy
    if proxy is None or not proxy.trusts(request.scope.get("state", {}).get(CONNECTION)):
        return None
    try:
        user = proxy.user(request.headers.getlist)
        role = None if user is None else highest(proxy.roles(user, request.headers.getlist))
    except InvalidUserError as error:
        raise RejectedError(400, "invalid", str(error)) from error
    if user is None:
        return None
    if role is None:
        told = f"{user} has no role: an administrator can give one in access.proxy of the configuration."
        raise RejectedError(403, "role", told)
    return Principal(user, role, "proxy")


def _in_session(request: HTTPConnection, access: Access) -> Principal | None:
    """A session needs no patience: it cannot be guessed."""
    secret = presented_cookie(request)
    return None if secret is None else access.in_session(secret)


def _of_token(request: HTTPConnection, presented: Presented | None, access: Access) -> Principal:
    require_patience(request, access)
    if presented is None:
        told = (
            "A token is required: send Authorization: Bearer TOKEN, or the token's name and the token as "
            "user and password."
        )
        raise RejectedError(401, "missing", told, _challenge(request))
    principal = access.holder(presented.token, presented.name)
    if principal is None:
        told = "This token is not in access.tokens, was revoked, or has a different name."
        raise RejectedError(401, "wrong", told, _challenge(request))
    return principal


def _challenge(request: HTTPConnection) -> Mapping[str, str]:
    return _SILENT_CHALLENGE if is_sent_by_console(request) else _CHALLENGE


def _of_this_machine(request: HTTPConnection) -> Principal:
    if not is_loopback(request.url.hostname or ""):  # e.g. DNS rebinding by a foreign page
        told = "Without access.tokens, sightd only accepts requests for 127.0.0.1 and localhost."
        raise RejectedError(403, "foreign", told)
    if is_forwarded(request):
        told = "Without access.tokens, sightd only accepts requests from this machine, and not through a proxy."
        raise RejectedError(403, "foreign", told)
    return _THIS_MACHINE
