"""Where a request comes from: its address, whether through a proxy, and whether a page of this server or another made
the browser send it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

HEADER = "X-Sightd"
"""CSRF header, required to change anything if the browser sends the credentials by itself: foreign pages cannot set
it."""
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.~!$&'()*+,;=%-]*)(:\d{0,5})?", re.ASCII)
"""RFC 9110, 7.2. Anything else is rejected, since a library that parses it differently could then decide on access."""
_FORWARDED = frozenset({"forwarded", "via", "x-real-ip"})
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_STANDARD_PORTS = {"http": ":80", "https": ":443"}


def address_of(request: HTTPConnection) -> str:
    return request.client.host if request.client else "an unknown address"


def has_valid_host(request: HTTPConnection) -> bool:
    return _HOST.fullmatch(request.headers.get("host", "")) is not None


def reads(request: HTTPConnection) -> bool:
    """Whether a request changes nothing."""
    return request.scope["type"] == "websocket" or request.scope["method"] in _READS


def is_forwarded(request: HTTPConnection) -> bool:
    return any(name in _FORWARDED or name.startswith("x-forwarded-") for name in request.headers)


def is_own_page(request: HTTPConnection) -> bool:
    """Whether a page of this server sent the request, or a program: browsers always send Origin with what changes
    something (Fetch, 3.2) and with WebSockets (RFC 6455, 4.1). If TLS ends here, a page without it is foreign."""
    origins = request.headers.getlist("origin")
    return not origins or (len(origins) == 1 and _is_own(request, origins[0]))


def is_sent_by_console(request: HTTPConnection) -> bool:
    """Whether a page of this server sent the request by a script, a WebSocket, or an element such as an image. Then the
    page asks for the token. A program, or a browser in which somebody opens an address, is asked by HTTP."""
    if HEADER.lower() in request.headers:
        return True
    if request.scope["type"] == "websocket":
        return "origin" in request.headers and is_own_page(request)
    opened = "text/html" in request.headers.get("accept", "")
    return not opened and _is_own(request, request.headers.get("referer", ""))


def _is_own(request: HTTPConnection, address: str) -> bool:
    """Whether an address is one of this server, as the client reached it."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    port = _STANDARD_PORTS.get(parts.scheme)
    if port is None or (request.url.scheme in ("https", "wss") and parts.scheme != "https"):
        return False
    host = request.headers.get("host", "")
    return parts.netloc.lower().removesuffix(port) == host.lower().removesuffix(port)
