"""Middleware for all routes: answers HEAD with GET's headers, compresses text if the client accepts it, and adds
the headers common to all responses."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LEAST, _MOST = 1024, 16 * 1024 * 1024
"""Smallest and largest response in bytes that is worth compressing."""
_LEVEL = 4
_TEXTS = frozenset(
    {"application/json", "application/openmetrics-text", "text/css", "text/html", "text/javascript", "text/plain"}
    | {"image/svg+xml"}
)
"""None of these responses contains a secret next to client input, so their size leaks nothing (BREACH)."""
_GZIP = re.compile(r"(?:^|,)\s*(?:gzip|\*)\s*(?:;\s*q=([0-9.]+)\s*)?(?=,|$)", re.IGNORECASE)


class HeadRequests:
    """ASGI middleware: answers HEAD as the route answers GET, without a body. Streams end after their headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        begun: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

        async def header_only(message: Message) -> None:
            if message["type"] == "http.response.start" and not begun.done():
                begun.set_result(message)

        answering = asyncio.ensure_future(self._app({**scope, "method": "GET"}, receive, header_only))
        try:
            await asyncio.wait([answering, begun], return_when=asyncio.FIRST_COMPLETED)  # type: ignore[type-var]
            if not begun.done():
                await answering  # raises the error, if any
                return
            await send(begun.result())
            await send({"type": "http.response.body", "body": b""})
        finally:
            answering.cancel()
            with suppress(asyncio.CancelledError):
                await answering


class Compression:
    """ASGI middleware: gzip for complete text responses. Streams and images pass unchanged."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._newest: tuple[bytes, bytes] = (b"", b"")
        """Last text and its compressed form. Metrics cost most, and frequent scrapes get the same text."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not accepts_gzip(Headers(scope=scope).get("accept-encoding", "")):
            await self._app(scope, receive, send)
            return
        start: Message | None = None

        async def compressed(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and _is_text(message):
                start = message
                return
            if start is not None:
                header, start = start, None
                if message["type"] == "http.response.body" and not message.get("more_body", False):
                    message = await self._gzipped(header, message)
                await send(header)
            await send(message)

        await self._app(scope, receive, compressed)

    async def _gzipped(self, header: Message, body: Message) -> Message:
        """Returns the compressed body and updates `header`, or returns the body unchanged if compression does not
        pay."""
        headers, text = MutableHeaders(raw=header["headers"]), body.get("body", b"")
        headers.add_vary_header("Accept-Encoding")
        if not _LEAST <= len(text) <= _MOST or "content-encoding" in headers:
            return body
        known, data = self._newest
        if text is not known:
            data = await run_in_threadpool(gzip.compress, text, _LEVEL, mtime=0)
            self._newest = text, data
        headers["Content-Encoding"], headers["Content-Length"] = "gzip", str(len(data))
        return {**body, "body": data}


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header allows gzip."""
    found = _GZIP.search(accept_encoding[:1024])
    try:
        return found is not None and float(found[1] or 1) > 0
    except ValueError:
        return False


def _is_text(message: Message) -> bool:
    return Headers(raw=message["headers"]).get("content-type", "").partition(";")[0].strip() in _TEXTS


_SENT_WITH_ALL = {
    b"x-content-type-options": b"nosniff",
    b"cache-control": b"no-store",
    b"referrer-policy": b"same-origin",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"x-frame-options": b"DENY",
    b"cross-origin-resource-policy": b"same-site",
    b"cross-origin-opener-policy": b"same-origin",
}
"""`same-site`: a dashboard on another port of the same host may embed an image, a page of another site may not."""


class CommonHeaders:
    """Adds the headers common to all responses; plain ASGI, so that streams pass unbuffered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                _add_headers(message)
            await send(message)

        await self._app(scope, receive, with_headers)


def _add_headers(message: MutableMapping[str, Any]) -> None:
    headers = list(message.get("headers", []))
    present = {name.lower() for name, _ in headers}
    headers += [(name, value) for name, value in _SENT_WITH_ALL.items() if name not in present]
    message["headers"] = headers
