"""Which view of a camera's video a request may watch."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Query, Request, WebSocket
from fastapi.responses import JSONResponse, Response
from starlette.requests import HTTPConnection

from sightd.daemon.serve.auth import Role
from sightd.daemon.serve.http.auth import principal_of
from sightd.daemon.serve.http.routes_video import UnknownCameraError
from sightd.daemon.serve.live_video import CleanVideo, LiveVideo, ViewName
from sightd.daemon.serve.view import DaemonView

Wanted = Annotated[
    ViewName,
    Query(alias="view", description="annotated: as all viewers see it; clean: as the camera sends it, not re-encoded"),
]


class ViewRefusedError(Exception):
    """The view cannot or must not be watched; the message says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def video_of(view: DaemonView, camera: str, wanted: ViewName, connection: HTTPConnection) -> LiveVideo:
    """Returns what to show. Raises UnknownCameraError or ViewRefusedError."""
    found = view.video(camera)
    if found is None:
        raise UnknownCameraError(camera)
    if wanted == "clean":
        _require_clean(camera, found.clean, connection)
    return found.view(wanted)


def _require_clean(camera: str, clean: CleanVideo, connection: HTTPConnection) -> None:
    if clean.redacted and not clean.allowed:
        told = f"The chain of camera {camera!r} redacts, and recording.allow_unredacted is not set."
        raise ViewRefusedError(403, told)
    if clean.redacted and principal_of(connection).role < Role.ADMIN:
        told = f'The chain of camera {camera!r} redacts: its clean view requires the role "admin".'
        raise ViewRefusedError(403, told)
    if clean.codec is None:
        raise ViewRefusedError(503, f"Camera {camera!r} does not send at the moment; see /readyz for its status.")


def add_view_errors(app: FastAPI) -> None:
    """Adds the answers to requests for views that are refused."""

    async def refuse(_connection: Request | WebSocket, error: Exception) -> Response:
        assert isinstance(error, ViewRefusedError)
        headers = {"Retry-After": "2"} if error.status == 503 else {}
        return JSONResponse({"error": str(error)}, status_code=error.status, headers=headers)

    app.add_exception_handler(ViewRefusedError, refuse)
