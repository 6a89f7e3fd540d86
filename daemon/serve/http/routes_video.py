"""Routes of the cameras' images: the overview page, MJPEG and stills."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from functools import cache
from html import escape
from importlib import resources
from string import Template

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from sightd.daemon.serve.jpeg_stream import JpegStream
from sightd.daemon.serve.limits import ViewerLimit
from sightd.daemon.serve.view import CameraEntry, CameraStatus, DaemonView

POLICY = "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
"""The page's Content-Security-Policy."""


def page(cameras: Sequence[CameraEntry], states: Mapping[str, CameraStatus], host: str) -> str:
    """Returns the HTML. `host` is the name by which the reader reached this machine; RTSP URLs use it."""
    cards = "".join(_card(camera, states.get(camera.name), host) for camera in cameras)
    body = f"<main>{cards}</main>" if cards else "<p>No camera is configured.</p>"
    return _template().substitute(body=body)


@cache
def _template() -> Template:
    text = resources.files("sightd.daemon.serve.http").joinpath("index.html").read_text(encoding="utf-8")
    return Template(text.removesuffix("\n"))


def _card(camera: CameraEntry, status: CameraStatus | None, host: str) -> str:
    name, title = escape(camera.name), escape(camera.title)
    rtsp = f"<code>{escape(camera.rtsp.url(host))}</code>" if camera.rtsp is not None else ""
    state = "" if status is None else f"<span>{escape(_state_line(status))}</span>"
    return (
        f'<article><a href="/{name}.mjpg"><img src="/{name}.mjpg" alt="{title}, live"></a>'
        f"<div><h2>{title}</h2>{state}{rtsp}"
        f'<nav><a href="/{name}.mjpg">Live</a><a href="/{name}.jpg">Still</a></nav></div>'
        "</article>"
    )


def _state_line(status: CameraStatus) -> str:
    """One line for the camera's state at the time the page was generated."""
    size = f", {status.size[0]}×{status.size[1]}" if status.size else ""
    rate = f", {status.fps:.0f} frames a second" if status.fps else ""
    reason = f": {status.reason}" if status.reason else ""
    return f"{status.state}{size}{rate}{reason}"


BOUNDARY = "sightd-picture"


class MjpegResponse(Response):
    """multipart/x-mixed-replace, always with the newest image; 503 if no viewer slot is free."""

    def __init__(self, stream: JpegStream, viewer_limit: ViewerLimit) -> None:
        super().__init__()
        self._stream = stream
        self._viewer_limit = viewer_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Responds until the viewer leaves. The slot is always released."""
        with self._viewer_limit.slot() as seated:
            if not seated:
                await self._full()(scope, receive, send)
                return
            with self._stream.viewer():
                media_type = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
                await StreamingResponse(self._parts(), media_type=media_type)(scope, receive, send)

    async def _parts(self) -> AsyncIterator[bytes]:
        number = 0
        while (picture := await self._viewer_limit.unless_closed(self._stream.newest(number))) is not None:
            number = picture.number
            head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture.data)}\r\n\r\n"
            yield head.encode() + picture.data + b"\r\n"

    def _full(self) -> Response:
        return JSONResponse(
            {"error": f"The limit of {self._viewer_limit.most} MJPEG viewers is reached (http.max_viewers)."},
            status_code=503,
            headers={"Retry-After": "5"},
        )


class UnknownCameraError(LookupError):
    """A request names a camera that does not exist."""


def add_pictures(app: FastAPI, view: DaemonView, viewer_limit: ViewerLimit) -> None:
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
