"""Login at an OpenID provider: sends the browser there, and begins a session when it comes back. Both routes are opened
by a browser, so they always answer with a page: failures are shown by the login page, in the user's language."""

from __future__ import annotations

import logging
from typing import Annotated

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response

from sightd.daemon.common.redaction import redact
from sightd.daemon.serve.auth import Access, Reason
from sightd.daemon.serve.http.auth import OpenRoute
from sightd.daemon.serve.http.credentials import forget_cookie, presented_cookie, set_cookie
from sightd.daemon.serve.http.identity import SERVER
from sightd.daemon.serve.http.origin import address_of
from sightd.daemon.serve.limits import ViewerLimit, client_key
from sightd.daemon.serve.oidc_login import FailedLoginError
from sightd.engines.log_throttle import LogThrottle

log = logging.getLogger(__name__)

MOST_AT_ONCE = 4
"""Requests to the provider at a time, each of which holds a worker thread while the provider does not answer."""
Parameter = Annotated[str | None, Query(max_length=4096)]


def add_oidc(app: FastAPI, access: Access) -> None:
    """Adds the routes, if the configuration names a provider."""
    if access.oidc is None:
        return
    oidc, slots, throttle = access.oidc, ViewerLimit(MOST_AT_ONCE), LogThrottle()
    base = oidc.options.external_url.rstrip("/") + "/"
    router = APIRouter(prefix="/api/v1/login", tags=["login"], route_class=OpenRoute)

    def failed(request: Request, problem: str, message: str) -> Response:
        address = address_of(request)
        reason: Reason = "role" if problem == "role" else "invalid"
        access.refused(SERVER, address, reason)
        if throttle.add():
            log.warning("login at the OpenID provider from %s failed: %s", address, redact(message))
        return RedirectResponse(f"{base}#/login?problem={problem}", 303)

    @router.get(
        "/oidc", summary="Log in at the OpenID provider, for browsers", status_code=303, response_class=Response
    )
    async def begin(request: Request) -> Response:
        with slots.slot() as free:
            if not free:
                return failed(request, "unavailable", f"{MOST_AT_ONCE} requests to the provider are waiting")
            try:
                secret, url = await run_in_threadpool(oidc.begin, client_key(address_of(request)))
            except FailedLoginError as error:
                return failed(request, error.problem, str(error))
        response = RedirectResponse(url, 303)
        set_cookie(request, response, secret, "oidc")
        return response

    @router.get(
        "/oidc/callback", summary="Where the provider sends the browser back", status_code=303, response_class=Response
    )
    async def finish(
        request: Request,
        code: Parameter = None,
        state: Parameter = None,
        iss: Parameter = None,
        error: Parameter = None,
    ) -> Response:
        given = {"code": code, "state": state, "iss": iss, "error": error}
        answer = {name: value for name, value in given.items() if value is not None}
        with slots.slot() as free:
            if not free:
                return failed(request, "unavailable", f"{MOST_AT_ONCE} requests to the provider are waiting")
            try:
                user = await run_in_threadpool(oidc.finish, presented_cookie(request, "oidc"), answer)
            except FailedLoginError as failure:
                return failed(request, failure.problem, str(failure))
        principal, secret = access.log_in_user(user, oidc.options.session_length)
        log.info(
            "%s (%s) has logged in at the OpenID provider from %s", principal.name, principal.role, address_of(request)
        )
        response = RedirectResponse(base, 303)
        set_cookie(request, response, secret)
        forget_cookie(request, response, "oidc")
        return response

    app.include_router(router)
