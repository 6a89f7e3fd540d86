"""The web application: images, metrics, health and the APIs. `server` runs it."""

from __future__ import annotations

from typing import Final

from fastapi import FastAPI, Request, WebSocket
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.telemetry import TelemetryConfig

from sightd.daemon.administration.services import Administration
from sightd.daemon.common.process import installed_version
from sightd.daemon.delivery.manager import EventDelivery
from sightd.daemon.events.journal import Journal
from sightd.daemon.ptz.manager import PtzManager
from sightd.daemon.recording.index import ClipReader
from sightd.daemon.serve.auth import Access
from sightd.daemon.serve.http.answers import add_failures
from sightd.daemon.serve.http.auth import AuthMiddleware
from sightd.daemon.serve.http.bodies import JsonRoute, refuse_invalid
from sightd.daemon.serve.http.middleware import CommonHeaders, Compression, HeadRequests
from sightd.daemon.serve.http.openapi import URL, add_docs
from sightd.daemon.serve.http.routes_cameras import add_cameras
from sightd.daemon.serve.http.routes_clips import add_clips
from sightd.daemon.serve.http.routes_configuration import add_configuration
from sightd.daemon.serve.http.routes_console import add_console
from sightd.daemon.serve.http.routes_daemon import (
    AskReload,
    Exposition,
    add_control,
    add_health,
    add_metrics,
    add_status,
)
from sightd.daemon.serve.http.routes_delivery import add_delivery
from sightd.daemon.serve.http.routes_event_media import AwaitsClip, add_event_media
from sightd.daemon.serve.http.routes_events import add_events
from sightd.daemon.serve.http.routes_finding import Cameras, add_finding
from sightd.daemon.serve.http.routes_live import add_live_results
from sightd.daemon.serve.http.routes_log import LogTail, add_log
from sightd.daemon.serve.http.routes_login import add_login
from sightd.daemon.serve.http.routes_models import add_models
from sightd.daemon.serve.http.routes_mse import add_mse
from sightd.daemon.serve.http.routes_oidc import add_oidc
from sightd.daemon.serve.http.routes_plugin_options import add_plugin_options
from sightd.daemon.serve.http.routes_ptz import add_ptz
from sightd.daemon.serve.http.routes_rules import add_rules
from sightd.daemon.serve.http.routes_tokens import add_tokens
from sightd.daemon.serve.http.routes_video import UnknownCameraError, add_pictures
from sightd.daemon.serve.http.routes_whep import add_whep
from sightd.daemon.serve.http.views import add_view_errors
from sightd.daemon.serve.limits import ViewerLimit
from sightd.daemon.serve.live_results import LiveResults
from sightd.daemon.serve.view import DaemonView
from sightd.daemon.serve.webrtc.service import WebRtcService
from sightd.daemon.snapshots.writer import SnapshotWriter

_MOST_BODY = 1 << 20
"""Maximum bytes of a request body, unless a route sets its own limit."""
NO_TELEMETRY: Final[TelemetryConfig] = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}


def create_app(
    view: DaemonView,
    exposition: Exposition,
    max_viewers: int,
    access: Access,
    ask_reload: AskReload | None = None,
    journal: Journal | None = None,
    clips: ClipReader | None = None,
    delivery: EventDelivery | None = None,
    live: LiveResults | None = None,
    snapshots: SnapshotWriter | None = None,
    awaits_clip: AwaitsClip = lambda _event: False,
    webrtc: WebRtcService | None = None,
    *,
    administration: Administration | None = None,
    log_tail: LogTail | None = None,
    ptz: PtzManager | None = None,
    configured: Cameras | None = None,
) -> FastAPI:
    """Creates the application. At most `max_viewers` watch MJPEG or MSE at once; `app.state.viewer_limit` disconnects
    them. `access` authenticates requests, `ask_reload` reloads the configuration, `journal` holds the events, `clips`
    their clips (`awaits_clip` says of which events they are being recorded), `snapshots` their pictures, `delivery`
    sends them; `live` has the newest results, `webrtc` shows video by WebRTC; `administration` changes the
    configuration, `log_tail` has the newest log records; `ptz` moves cameras, `configured` returns those of the
    configuration. `PluginRoutes` adds the routes of plug-ins."""
    app = FastAPI(
        title="sightd",
        version=installed_version(),
        openapi_url=URL,
        docs_url=None,  # these pages load third-party assets
        redoc_url=None,
        max_body_size=_MOST_BODY,
        telemetry=NO_TELEMETRY,
    )
    app.router.route_class = JsonRoute
    app.add_exception_handler(RequestValidationError, refuse_invalid)
    app.add_exception_handler(WebSocketRequestValidationError, refuse_invalid)
    app.state.viewer_limit = ViewerLimit(max_viewers)
    app.add_middleware(HeadRequests)
    app.add_middleware(Compression)
    app.add_middleware(AuthMiddleware, access)
    app.add_middleware(CommonHeaders)  # outermost, so that rejected requests get the headers too

    _answer_unknown_cameras(app, view)
    add_docs(app)
    add_console(app)
    _add_video(app, view, live, webrtc)
    add_health(app, view, quiet=access.requires_login)
    add_login(app, access)
    add_oidc(app, access)
    add_tokens(app, access)
    add_metrics(app, exposition)
    add_status(app, view.status)
    if ask_reload is not None:
        add_control(app, ask_reload, access)
    if journal is not None:
        add_events(app, journal, app.state.viewer_limit)
        add_event_media(app, journal.reader, snapshots, clips, awaits_clip)
    if clips is not None:
        add_clips(app, clips, access)
    if delivery is not None:
        add_delivery(app, delivery, access)
    if administration is not None:
        _add_administration(app, administration, log_tail, view, access)
    if ptz is not None:
        add_ptz(app, ptz, access)
    if configured is not None:
        add_finding(app, configured, access)
    return app


def _add_video(app: FastAPI, view: DaemonView, live: LiveResults | None, webrtc: WebRtcService | None) -> None:
    add_pictures(app, view, app.state.viewer_limit)
    add_view_errors(app)
    add_mse(app, view, app.state.viewer_limit)
    if webrtc is not None:
        add_whep(app, view, webrtc)
    if live is not None:
        add_live_results(app, view, live, app.state.viewer_limit)


def _answer_unknown_cameras(app: FastAPI, view: DaemonView) -> None:
    async def unknown_camera(_connection: Request | WebSocket, error: Exception) -> Response:
        names = [camera.name for camera in view.cameras()]
        return JSONResponse({"error": f"There is no camera {error.args[0]!r}.", "cameras": names}, status_code=404)

    app.add_exception_handler(UnknownCameraError, unknown_camera)


def _add_administration(
    app: FastAPI, administration: Administration, log_tail: LogTail | None, view: DaemonView, access: Access
) -> None:
    add_failures(app)
    add_configuration(app, administration.configuration, access)
    add_cameras(app, administration.cameras, view, access)
    add_plugin_options(app, administration.plugins, view, access)
    add_rules(app, administration.rules, access)
    add_models(app, administration.models, administration.jobs, access)
    if log_tail is not None:
        add_log(app, log_tail, access, app.state.viewer_limit)
