"""A camera's images as one endless response, which every browser shows in an <img>."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from sightd.daemon.serve.mjpeg import JpegStream
from sightd.daemon.serve.viewer_limit import ViewerLimit

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
