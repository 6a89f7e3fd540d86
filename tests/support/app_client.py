"""A client of a web application in this process, without a server: for tests of many requests."""

from __future__ import annotations

import asyncio

import httpx
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from sightd.daemon.serve.http.identity import CONNECTION

HOST = "http://127.0.0.1:8080"


class AppClient(httpx.Client):
    """Keeps cookies like a browser, and seems to come from `address`; `via` is where the connection comes from, which
    differs behind a proxy."""

    def __init__(self, app: FastAPI, address: str = "192.0.2.1", base_url: str = HOST, via: str | None = None) -> None:
        super().__init__(base_url=base_url, transport=_Transport(app, address, via or address))


class _Transport(httpx.BaseTransport):
    def __init__(self, app: FastAPI, address: str, via: str) -> None:
        async def connected(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "state": {CONNECTION: via}}, receive, send)

        self._transport = httpx.ASGITransport(connected, client=(address, 50000))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return asyncio.run(self._exchange(request))

    async def _exchange(self, request: httpx.Request) -> httpx.Response:
        response = await self._transport.handle_async_request(request)
        content = b"".join([chunk async for chunk in response.aiter_raw()])
        return httpx.Response(response.status_code, headers=response.headers, content=content)
