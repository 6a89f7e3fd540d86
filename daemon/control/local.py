"""The API over files, in this process: commands use it if no daemon runs, so that they need only one code path."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from fastapi import FastAPI
from starlette.routing import compile_path
from starlette.types import Message

from sightd.daemon.config.model import Access as AccessOptions
from sightd.daemon.control.client import Answer, ApiClient, Request
from sightd.daemon.serve.auth import Access
from sightd.daemon.serve.http.app import NO_TELEMETRY
from sightd.daemon.serve.http.auth import AuthMiddleware
from sightd.daemon.serve.http.routes_plugins import PREFIX, PluginRoutes
from sightd.engines.errors import EngineError
from sightd.plugins.api import PluginService, Route


class LocalApi(ApiClient):
    """The routes of a plug-in's service that this process has opened. `close` closes the service."""

    def __init__(self, kind: str, service: PluginService, routes: Sequence[Route]) -> None:
        """Takes ownership of `service`, which belongs to the plug-in `kind`."""
        self._kind, self._service = kind, service
        self._prepared = [
            (route, compile_path(PREFIX + route.path)[0]) for route in routes if route.prepare is not None
        ]
        access = Access(AccessOptions())
        self._app = FastAPI(telemetry=NO_TELEMETRY)
        self._app.add_middleware(AuthMiddleware, access)
        PluginRoutes(self._app, lambda _kind, _plugin: service, access).add(kind, routes)

    def __str__(self) -> str:
        storage = self._service.storage()
        return f"plug-in {self._kind}" if storage is None else str(storage.path)

    def close(self) -> None:
        self._service.close()

    def _exchange(self, request: Request, timeout: float, most: int) -> Answer:
        """Ignores `timeout` and `most`, because nothing is sent anywhere. Routes run on threads that end with the
        process, so that Ctrl-C ends it at once."""
        try:
            self._prepare(request)
        except EngineError as error:
            return Answer(503, "application/json", json.dumps({"error": str(error)}).encode())
        answers: list[Answer] = []
        errors: list[BaseException] = []

        def call() -> None:
            try:
                answers.append(asyncio.run(self._called(request)))
            except BaseException as error:  # noqa: BLE001 — re-raised by the thread that waits
                errors.append(error)

        thread = threading.Thread(target=call, name="local-api", daemon=True)
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return answers[0]

    def _prepare(self, request: Request) -> None:
        """Does what the route needs on this thread, so that an interrupted download cleans up."""
        path = unquote(request.target.partition("?")[0])
        for route, pattern in self._prepared:
            if route.prepare is not None and route.method == request.method and pattern.fullmatch(path):
                route.prepare(self._service)

    async def _called(self, request: Request) -> Answer:
        path, _, query = request.target.partition("?")
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in request.headers.items()],
        }
        status, media_type, data = 500, "", bytearray()

        async def receive() -> Message:
            return {"type": "http.request", "body": request.data or b"", "more_body": False}

        async def send(message: Message) -> None:
            nonlocal status, media_type
            if message["type"] == "http.response.start":
                status = message["status"]
                media_type = dict(message["headers"]).get(b"content-type", b"").decode().partition(";")[0]
            else:
                data.extend(message.get("body", b""))

        await self._app(scope, receive, send)
        return Answer(status, media_type, bytes(data))
