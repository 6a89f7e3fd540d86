"""The web application: images, metrics, health and the APIs. `http_server` runs it."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Annotated, Any, Final

from fastapi import FastAPI, Header, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.telemetry import TelemetryConfig
from pydantic import TypeAdapter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sightd.daemon.events.journal import Journal
from sightd.daemon.serve.access.access import Access
from sightd.daemon.serve.access.auth_middleware import AuthMiddleware
from sightd.daemon.serve.bodies import JsonRoute, refuse_invalid
from sightd.daemon.serve.control import AskReload, add_control
from sightd.daemon.serve.events import add_events
from sightd.daemon.serve.faces import FaceServiceSource, add_faces
from sightd.daemon.serve.http_answers import Compression, HeadRequests
from sightd.daemon.serve.mjpeg import JpegStream
from sightd.daemon.serve.mjpeg_response import MjpegResponse
from sightd.daemon.serve.page import POLICY, page
from sightd.daemon.serve.status import add_status
from sightd.daemon.serve.view import DaemonView, Readiness
from sightd.daemon.serve.viewer_limit import ViewerLimit
from sightd.daemon.version import installed_version

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
_MOST_BODY = 1 << 20
"""Maximum bytes of a request body, unless a route sets its own limit."""
NO_TELEMETRY: Final[TelemetryConfig] = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
_READINESS = TypeAdapter(Readiness)

Exposition = Callable[[str], tuple[bytes, str]]
"""Maps an Accept header to the metrics' bytes and content type: `Metrics.exposition`."""


class UnknownCameraError(LookupError):
    """A request names a camera that does not exist."""


def create_app(
    view: DaemonView,
    exposition: Exposition,
    max_viewers: int,
    access: Access,
    faces: FaceServiceSource | None = None,
    ask_reload: AskReload | None = None,
    journal: Journal | None = None,
) -> FastAPI:
    """Creates the application. At most `max_viewers` watch MJPEG at once; `app.state.viewer_limit` disconnects them.
    `access` authenticates requests, `faces` looks up the gallery, `ask_reload` reloads the configuration, `journal`
    holds the events."""
    app = FastAPI(
        title="sightd",
        version=installed_version(),
        docs_url=None,  # these pages load third-party assets
        redoc_url=None,
        max_body_size=_MOST_BODY,
        telemetry=NO_TELEMETRY,
    )
    app.router.route_class = JsonRoute
    app.add_exception_handler(RequestValidationError, refuse_invalid)
    app.state.viewer_limit = ViewerLimit(max_viewers)
    app.add_middleware(HeadRequests)
    app.add_middleware(Compression)
    app.add_middleware(AuthMiddleware, access)
    app.add_middleware(_CommonHeaders)  # outermost, so that rejected requests get the headers too

    async def unknown_camera(_request: Request, error: Exception) -> Response:
        names = [camera.name for camera in view.cameras()]
        return JSONResponse({"error": f"There is no camera {error.args[0]!r}.", "cameras": names}, status_code=404)

    app.add_exception_handler(UnknownCameraError, unknown_camera)
    _add_pictures(app, view, app.state.viewer_limit)
    _add_health(app, view, quiet=bool(access.token_store))
    _add_metrics(app, exposition)
    add_status(app, view.status)
    if faces is not None:
        add_faces(app, faces, access)
    if ask_reload is not None:
        add_control(app, ask_reload, access)
    if journal is not None:
        add_events(app, journal, app.state.viewer_limit)
    return app


def _add_pictures(app: FastAPI, view: DaemonView, viewer_limit: ViewerLimit) -> None:
    def stream(camera: str) -> JpegStream:
        found = view.jpeg(camera)
        if found is None:
            raise UnknownCameraError(camera)
        return found

    @app.get("/", response_class=HTMLResponse, summary="Overview page of all cameras")
    async def index(request: Request) -> HTMLResponse:
        html = page(view.cameras(), view.readiness().cameras, request.url.hostname or "localhost")
        return HTMLResponse(html, headers={"Content-Security-Policy": POLICY})

    @app.get("/{camera}.mjpg", response_class=Response, summary="Live annotated video of a camera as MJPEG")
    async def mjpeg(camera: str) -> Response:
        return MjpegResponse(stream(camera), viewer_limit)

    @app.get("/{camera}.jpg", response_class=Response, summary="Current annotated image of a camera")
    async def still(camera: str) -> Response:
        picture = await viewer_limit.unless_closed(stream(camera).still())
        if picture is None:
            error = f"Camera {camera!r} did not deliver an image in time; see /readyz for its status."
            return JSONResponse({"error": error}, status_code=503, headers={"Retry-After": "1"})
        return Response(picture.data, media_type="image/jpeg")


def _add_health(app: FastAPI, view: DaemonView, *, quiet: bool) -> None:
    """`quiet`: /healthz, which needs no token, names no camera."""

    @app.get("/healthz", summary="Liveness check; requires no token")
    async def healthz() -> Response:
        healthy, detail = view.healthy()
        content = {"healthy": healthy} if quiet else {"healthy": healthy, "detail": detail}
        return JSONResponse(content, status_code=200 if healthy else 503)

    @app.get("/readyz", response_model=Readiness, summary="Readiness check: the status of all cameras and plug-ins")
    async def readyz() -> Response:
        readiness = view.readiness()
        content = _READINESS.dump_python(readiness, mode="json")
        return JSONResponse(content, status_code=200 if readiness.ready else 503)


def _add_metrics(app: FastAPI, exposition: Exposition) -> None:
    @app.get("/metrics", response_class=Response, summary="Metrics for Prometheus")
    def metrics(accept: Annotated[str, Header(include_in_schema=False)] = "") -> Response:
        content, content_type = exposition(accept)
        return Response(content, headers={"Content-Type": content_type})


class _CommonHeaders:
    """Adds the headers common to all responses; plain ASGI, so that streams pass unbuffered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(message)
            await send(message)

        await self._app(scope, receive, with_headers)


def _add_headers(message: MutableMapping[str, Any]) -> None:
    headers = list(message.get("headers", []))
    present = {name.lower() for name, _ in headers}
    headers += [(name, value) for name, value in _SENT_WITH_ALL.items() if name not in present]
    message["headers"] = headers
