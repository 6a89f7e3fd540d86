"""Results of analysed frames over HTTP, for all viewers: as server-sent events, over a WebSocket, or the next once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, FastAPI, Query, WebSocket
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from sightd.daemon.serve.http.bodies import JsonRoute
from sightd.daemon.serve.http.converse import converse
from sightd.daemon.serve.http.routes_video import UnknownCameraError
from sightd.daemon.serve.limits import ViewerLimit
from sightd.daemon.serve.live_results import LiveResults, ResultsReader
from sightd.daemon.serve.view import DaemonView

MOST_READERS = 32
FASTEST = 30.0
"""Messages per second of each camera."""
HEARTBEAT = 15.0
"""Seconds of silence after which a comment is sent, so that proxies do not close the connection."""
PATIENCE = 5.0
"""Seconds to wait for the next analysed frame of a camera."""

Name = Annotated[str, Query(max_length=63)]
Cameras = Annotated[
    list[Name], Query(alias="camera", max_length=256, description="Cameras to read; by default all, also later ones")
]
Keys = Annotated[
    list[Name],
    Query(alias="key", max_length=32, description="Keys of the record, such as detections or zones; by default all"),
]
Rate = Annotated[float, Query(ge=0.1, le=FASTEST, description="Messages per second of each camera, at most")]


def add_live_results(app: FastAPI, view: DaemonView, live: LiveResults, viewer_limit: ViewerLimit) -> None:
    """Adds the routes; streams end when `viewer_limit` closes."""
    router = APIRouter(prefix="/api/v1", tags=["results"], route_class=JsonRoute)
    slots = ViewerLimit(MOST_READERS)

    def known(names: Sequence[str]) -> frozenset[str]:
        there = {camera.name for camera in view.cameras()}
        for name in names:
            if name not in there:
                raise UnknownCameraError(name)
        return frozenset(names)

    @router.get("/stream", response_class=Response, summary="Stream of results of analysed frames, as they come")
    async def stream(camera: Cameras = [], key: Keys = [], rate: Rate = 5.0) -> Response:  # noqa: B006 — never changed
        return _Stream(live, known(camera), frozenset(key), rate, slots, viewer_limit)

    @router.websocket("/stream")
    async def socket(websocket: WebSocket, camera: Cameras = [], key: Keys = [], rate: Rate = 5.0) -> None:  # noqa: B006
        names = known(camera)
        with slots.slot() as seated:
            if not seated:
                await websocket.send_denial_response(_full())
                return
            await websocket.accept()
            with live.reader(names, rate) as reader:
                sending = _send(websocket, reader, frozenset(key), viewer_limit)
                await converse(websocket, sending, "sightd is stopping")

    @router.get("/cameras/{camera}/results", response_class=Response, summary="Results of the next analysed frame")
    async def once(camera: str, key: Keys = []) -> Response:  # noqa: B006
        names = known([camera])
        with slots.slot() as seated:
            if not seated:
                return _full()
            with live.reader(names, FASTEST) as reader, suppress(TimeoutError):
                frame = await asyncio.wait_for(viewer_limit.unless_closed(reader.next()), PATIENCE)
                if frame is not None:
                    text = await run_in_threadpool(frame.text, frozenset(key))
                    return Response(text, media_type="application/json")
        error = f"No frame of camera {camera!r} was analysed in time; see /readyz for its status."
        return JSONResponse({"error": error}, status_code=503, headers={"Retry-After": "1"})

    app.include_router(router)


class _Stream(Response):
    """Server-sent events. Sends as fast as the client accepts, and always the newest frame."""

    def __init__(
        self,
        live: LiveResults,
        cameras: frozenset[str],
        keys: frozenset[str],
        rate: float,
        slots: ViewerLimit,
        viewer_limit: ViewerLimit,
    ) -> None:
        super().__init__()
        self._live, self._cameras, self._keys, self._rate = live, cameras, keys, rate
        self._slots, self._viewer_limit = slots, viewer_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Responds until the client leaves. The slot is always released."""
        with self._slots.slot() as seated:
            if not seated:
                await _full()(scope, receive, send)
                return
            with self._live.reader(self._cameras, self._rate) as reader:
                response = StreamingResponse(self._lines(reader), media_type="text/event-stream")
                await response(scope, receive, send)

    async def _lines(self, reader: ResultsReader) -> AsyncIterator[str]:
        yield ": results follow\n\n"
        while True:
            try:
                frame = await asyncio.wait_for(self._viewer_limit.unless_closed(reader.next()), HEARTBEAT)
            except TimeoutError:
                yield ":\n\n"
            else:
                if frame is None:
                    return
                yield f"data: {await run_in_threadpool(frame.text, self._keys)}\n\n"


async def _send(websocket: WebSocket, reader: ResultsReader, keys: frozenset[str], viewer_limit: ViewerLimit) -> None:
    while (frame := await viewer_limit.unless_closed(reader.next())) is not None:
        await websocket.send_text(await run_in_threadpool(frame.text, keys))


def _full() -> Response:
    told = {"error": f"All {MOST_READERS} streams of results are in use."}
    return JSONResponse(told, status_code=503, headers={"Retry-After": "5"})
