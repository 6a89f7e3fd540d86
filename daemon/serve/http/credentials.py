"""What a request presents to identify its client: a token as bearer or password, and the cookie of a session."""

from __future__ import annotations

import base64
import binascii
from typing import Literal, NamedTuple

from starlette.requests import HTTPConnection
from starlette.responses import Response

from sightd.daemon.serve.sessions import LONGEST, LONGEST_LOGIN


class Presented(NamedTuple):
    """A token, and the name that it was sent with as a password; None if it came as a bearer."""

    token: str
    name: str | None = None

    @property
    def by_browser(self) -> bool:
        """Whether a web page could have made the browser send it."""
        return self.name is not None


def presented_token(request: HTTPConnection) -> Presented | None:
    """Returns the token of the Authorization header; None if there is none. What cannot be read is a token that nobody
    has."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if not given:
        return None
    if scheme.lower() != "basic":
        return Presented(given.strip())
    try:
        name, separator, token = base64.b64decode(given, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        name, separator, token = "", "", ""
    return Presented(token, name) if separator else Presented("", "")


Kind = Literal["session", "oidc"]
"""The cookie of a session, and of a login that has begun at an OpenID provider."""


def presented_cookie(request: HTTPConnection, kind: Kind = "session") -> str | None:
    """Returns the secret in our cookie; None if there is none, or several: another server of this host may have set one
    of them."""
    wanted = f"{cookie_name(request, kind)}="
    cookies = (one.strip() for header in request.headers.getlist("cookie") for one in header.split(";"))
    found = [one.removeprefix(wanted) for one in cookies if one.startswith(wanted)]
    return found[0] if len(found) == 1 else None


def cookie_name(request: HTTPConnection, kind: Kind = "session") -> str:
    """Browsers send cookies to all ports of a host, so the name contains the port. With TLS, browsers accept this
    prefix only for a cookie of exactly this host, which no other host can set."""
    port = request.headers.get("host", "").rpartition("]")[2].rpartition(":")[2]
    name = f"sightd-{kind}-{port}" if port.isdecimal() else f"sightd-{kind}"
    return f"__Host-{name}" if _has_tls(request) else name


def set_cookie(request: HTTPConnection, response: Response, secret: str, kind: Kind = "session") -> None:
    """Makes the browser keep a secret, out of reach of scripts. That of a session is sent only with requests of our own
    pages, the other one also when the provider sends the browser back."""
    response.set_cookie(
        cookie_name(request, kind),
        secret,
        max_age=int(LONGEST if kind == "session" else LONGEST_LOGIN),
        path="/",
        secure=_has_tls(request),
        httponly=True,
        samesite="strict" if kind == "session" else "lax",
    )


def forget_cookie(request: HTTPConnection, response: Response, kind: Kind = "session") -> None:
    """Makes the browser remove the cookie."""
    response.delete_cookie(cookie_name(request, kind), path="/", secure=_has_tls(request), httponly=True)


def _has_tls(request: HTTPConnection) -> bool:
    return request.url.scheme in ("https", "wss")
