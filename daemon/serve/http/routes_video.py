"""Routes of the cameras' images: MJPEG and stills."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from sightd.daemon.serve.jpeg_stream import JpegStream
from sightd.daemon.serve.limits import ViewerLimit
from sightd.daemon.serve.view import DaemonView

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
