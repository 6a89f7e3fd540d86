"""The API over files, in this process: commands use it if no daemon runs, so that they work in one way only."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from fastapi import FastAPI
from starlette.types import Message

from sightd.daemon.config.model import Access as AccessOptions
from sightd.daemon.control.client import Answer, ApiClient, Request
from sightd.daemon.faces.service import FaceService
from sightd.daemon.serve.access.access import Access
from sightd.daemon.serve.http.app import NO_TELEMETRY
from sightd.daemon.serve.http.auth import AuthMiddleware
from sightd.daemon.serve.http.routes_faces import add_faces
from sightd.engines.errors import EngineError

_NEED_MODELS = ("/photos", "/compare-faces")
"""Routes that load models."""


class LocalFaces(ApiClient):
    """The routes of a gallery that this process has opened. `close` closes the gallery."""

    def __init__(self, face_service: FaceService) -> None:
        """Takes ownership of `face_service`."""
        self._face_service = face_service
        access = Access(AccessOptions())
        self._app = FastAPI(telemetry=NO_TELEMETRY)
        self._app.add_middleware(AuthMiddleware, access)
        add_faces(self._app, lambda _: face_service, access)

    def __str__(self) -> str:
        return str(self.path)

    @property
    def path(self) -> Path:
        """The gallery's database file."""
        return self._face_service.gallery.database.path

    def close(self) -> None:
        self._face_service.close()

    def _exchange(self, request: Request, timeout: float, most: int) -> Answer:
        """Ignores `timeout` and `most`, because nothing is sent anywhere. Routes run on threads that end with the
        process, so that Ctrl-C ends it at once."""
        if request.method == "POST" and request.target.partition("?")[0].endswith(_NEED_MODELS):
            try:
                self._face_service.analyser()  # on this thread, so that an interrupted download cleans up
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
