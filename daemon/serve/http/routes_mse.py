"""Live video over a WebSocket, as fragmented MP4 for Media Source Extensions: where WebRTC does not get through."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI, WebSocket
from fastapi.responses import JSONResponse

from sightd.daemon.capture.packets import RECORDABLE
from sightd.daemon.serve.http.bodies import JsonRoute
from sightd.daemon.serve.http.converse import converse
from sightd.daemon.serve.http.views import ViewRefusedError, Wanted, video_of
from sightd.daemon.serve.limits import ViewerLimit
from sightd.daemon.serve.mse.stream import MseStreams, MseViewer
from sightd.daemon.serve.view import DaemonView


def add_mse(app: FastAPI, view: DaemonView, viewer_limit: ViewerLimit) -> None:
    """Adds the route; viewers count in `viewer_limit`."""
    router = APIRouter(prefix="/api/v1/mse", tags=["live video"], route_class=JsonRoute)
    streams = MseStreams()

    @router.websocket("/{camera}")
    async def video(websocket: WebSocket, camera: str, wanted: Wanted = "annotated") -> None:
        watched = video_of(view, camera, wanted, websocket)
        if watched.codec not in RECORDABLE:
            told = f"The clean view of camera {camera!r} is not H.264 or H.265, but {watched.codec}."
            raise ViewRefusedError(409, told)
        with viewer_limit.slot() as seated:
            if not seated:
                told = f"The limit of {viewer_limit.most} viewers is reached (http.max_viewers)."
                full = JSONResponse({"error": told}, status_code=503, headers={"Retry-After": "5"})
                await websocket.send_denial_response(full)
                return
            await websocket.accept()
            viewer, stream = MseViewer(), streams.stream(watched)
            stream.join(viewer)
            try:
                await converse(websocket, _send(websocket, viewer, viewer_limit), "the video has ended")
            finally:
                stream.leave(viewer)

    app.include_router(router)


async def _send(websocket: WebSocket, viewer: MseViewer, viewer_limit: ViewerLimit) -> None:
    while (message := await viewer_limit.unless_closed(viewer.next())) is not None:
        if isinstance(message, str):
            await websocket.send_text(message)
        else:
            await websocket.send_bytes(message)
