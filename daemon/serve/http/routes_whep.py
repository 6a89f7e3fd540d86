"""Live video by WebRTC: signalling as in WHEP, without trickle ICE."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from fastapi import APIRouter, FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response

from sightd.daemon.config.webrtc import WebRtc
from sightd.daemon.serve.http.bodies import JsonRoute
from sightd.daemon.serve.http.views import ViewRefusedError, Wanted, video_of
from sightd.daemon.serve.live_video import LiveVideo
from sightd.daemon.serve.view import DaemonView
from sightd.daemon.serve.webrtc.service import WebRtcService, WebRtcUnavailableError

if TYPE_CHECKING:
    from sightd.daemon.serve.webrtc.sessions import Opened

MOST_OFFER = 1 << 16
"""Bytes of an offer; those of browsers have about 8 kB."""
EPOCH = "X-Sightd-Epoch"
"""Header of an answer: wall-clock time of the RTP timestamp 0, in s since the epoch. Viewers find a frame's results by
its time; the clock of sender reports reaches no page."""
_SDP = "application/sdp"
_PREFIX = "/api/v1/whep"


def add_whep(app: FastAPI, view: DaemonView, service: WebRtcService) -> None:
    """Adds the routes."""
    router = APIRouter(prefix=_PREFIX, tags=["live video"], route_class=JsonRoute)
    links = _links(service.options)

    @router.post(
        "/{camera}",
        status_code=201,
        response_class=Response,
        max_body_size=MOST_OFFER,
        summary="Start a WebRTC session: an SDP offer, answered with an SDP answer",
    )
    async def offer(camera: str, request: Request, wanted: Wanted = "annotated") -> Response:
        video = video_of(view, camera, wanted, request)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _SDP:
            return JSONResponse({"error": f"The body must be an SDP offer ({_SDP})."}, status_code=415)
        _require_playable(camera, video)
        try:
            text = (await request.body()).decode()
        except UnicodeDecodeError:
            return JSONResponse({"error": "The offer is not UTF-8."}, status_code=400)
        opened = await run_in_threadpool(_opened, service, video, text, _reached(request))
        if isinstance(opened, Response):
            return opened
        headers = {"Location": f"{_PREFIX}/sessions/{opened.id}", EPOCH: f"{opened.epoch:.6f}", **links}
        return Response(opened.answer, 201, headers, _SDP)

    @router.options("/{camera}", status_code=204, response_class=Response, summary="STUN and TURN servers to use")
    async def servers(camera: str, request: Request) -> Response:
        video_of(view, camera, "annotated", request)
        return Response(status_code=204, headers={"Accept-Post": _SDP, **links})

    @router.delete("/sessions/{session}", response_class=Response, summary="End a WebRTC session")
    def end(session: str) -> Response:
        if service.end(session):
            return Response(status_code=200)
        return JSONResponse({"error": "There is no such session: it may have ended."}, status_code=404)

    app.include_router(router)


def _opened(service: WebRtcService, video: LiveVideo, text: str, reached: str | None) -> Opened | Response:
    """Returns the session, or why there is none."""
    from sightd.daemon.serve.webrtc.sdp import OfferError
    from sightd.daemon.serve.webrtc.sessions import FullError

    try:
        return service.open(video, text, reached)
    except OfferError as error:
        return JSONResponse({"error": f"The offer cannot be answered: {error}."}, status_code=400)
    except FullError:
        told = f"The limit of {service.options.max_viewers} WebRTC viewers is reached (webrtc.max_viewers)."
    except WebRtcUnavailableError as error:
        told = f"WebRTC is not available: {error}."
    return JSONResponse({"error": told}, status_code=503, headers={"Retry-After": "5"})


def _require_playable(camera: str, video: LiveVideo) -> None:
    """Raises ViewRefusedError unless browsers can play the view by WebRTC."""
    if video.codec != "h264":
        why = f"it sends {str(video.codec).upper()}, and only H.264 is passed on"
    elif video.reordered:
        why = "its frames are reordered (B-frames)"
    else:
        return
    told = f"WebRTC cannot show the clean view of camera {camera!r}: {why}. /api/v1/mse/{camera}?view=clean may do."
    raise ViewRefusedError(409, told)


def _reached(request: Request) -> str | None:
    """Returns the address of this machine to which the client has connected."""
    server = request.scope.get("server")
    try:
        return None if server is None else str(ipaddress.ip_address(server[0].partition("%")[0]))
    except ValueError:
        return None


def _links(options: WebRtc) -> dict[str, str]:
    """Returns the header with the servers that viewers should use (WHEP, 4.6)."""
    links = [] if options.stun is None else [f'<stun:{options.stun}>; rel="ice-server"']
    if (turn := options.turn) is not None:
        user, password = _quoted(turn.username), _quoted(turn.password.get_secret_value())
        account = f'username="{user}"; credential="{password}"; credential-type="password"'
        links += [f'<{url}>; rel="ice-server"; {account}' for url in turn.urls]
    return {"Link": ", ".join(links)} if links else {}


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
