"""Clips and segments over HTTP: queries and videos for all viewers; who may protect or delete them depends on the
role."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import chain
from typing import Annotated, Any

import av
from fastapi import APIRouter, FastAPI, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from sightd.daemon.events.query import HIGHEST
from sightd.daemon.recording.index import ClipFilter, ClipIndex, ClipIndexError, ClipReader, Kind
from sightd.daemon.recording.joined import LONGEST, JoinError, joined
from sightd.daemon.serve.auth import Access, Role
from sightd.daemon.serve.http.auth import at_least
from sightd.daemon.serve.http.bodies import JsonRoute, report_unavailable
from sightd.daemon.serve.limits import ViewerLimit

_MOST_JOINED = 4
"""Recordings that are joined at a time."""

Id = Annotated[int | None, Query(ge=0, le=HIGHEST)]
Camera = Annotated[str | None, Query(max_length=63)]
Time = Annotated[float | None, Query(ge=0, le=1e12, description="Seconds since the epoch")]
Moment = Annotated[float, Query(ge=0, le=1e12, description="Seconds since the epoch")]


def add_clips(app: FastAPI, reader: ClipReader, access: Access) -> None:
    """Adds the routes to `app`."""
    app.add_exception_handler(ClipIndexError, report_unavailable)
    router = APIRouter(prefix="/api/v1/clips", tags=["clips"], route_class=JsonRoute)

    @router.get("", summary="Clips or segments, the newest first")
    def clips(
        kind: Kind = "clip",
        camera: Camera = None,
        since: Time = None,
        until: Time = None,
        event: Id = None,
        before: Id = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> list[dict[str, Any]]:
        found = reader.clips(ClipFilter(camera, since, until, event, before, kind), limit)
        return [clip.for_json() for clip in found]

    @router.get("/{number}.mp4", response_class=Response, summary="Video of a clip or segment; answers range requests")
    def video(number: int) -> Response:
        clip = reader.clip(number) if 0 < number <= HIGHEST else None
        path = None if clip is None else reader.folder / clip.path
        if clip is None or path is None or not path.is_file():
            return _none(number)
        name = f"{clip.camera}-{clip.id}.mp4"
        return FileResponse(path, media_type="video/mp4", filename=name, content_disposition_type="inline")

    @router.get("/{number}", summary="A clip or segment")
    def clip(number: int) -> Response:
        found = reader.clip(number) if 0 < number <= HIGHEST else None
        return _none(number) if found is None else JSONResponse(found.for_json())

    for one in (router, _protection(reader, access), _deletion(reader, access), _recordings(reader)):
        app.include_router(one)


def _protection(reader: ClipReader, access: Access) -> APIRouter:
    router = APIRouter(prefix="/api/v1/clips", tags=["clips"], route_class=at_least(Role.OPERATE, access))

    @router.post("/{number}/protect", summary="Protect a recording from deletion for age, size or a full disk")
    def protect(number: int) -> Response:
        return _changed(reader, number, on=True)

    @router.post("/{number}/unprotect", summary="End the protection of a recording")
    def unprotect(number: int) -> Response:
        return _changed(reader, number, on=False)

    return router


def _deletion(reader: ClipReader, access: Access) -> APIRouter:
    router = APIRouter(prefix="/api/v1/clips", tags=["clips"], route_class=at_least(Role.ADMIN, access))

    @router.delete("/{number}", summary="Delete a recording that is not protected")
    def delete(number: int) -> Response:
        with closing(ClipIndex(reader.folder)) as index:
            clip = index.delete(number) if 0 < number <= HIGHEST else None
        if clip is None:
            return _none(number)
        if clip.protected:
            return JSONResponse({"error": f"Recording {number} is protected: unprotect it first."}, status_code=409)
        return JSONResponse(clip.for_json())

    return router


def _changed(reader: ClipReader, number: int, *, on: bool) -> Response:
    with closing(ClipIndex(reader.folder)) as index:
        clip = index.protect(number, on) if 0 < number <= HIGHEST else None
    return _none(number) if clip is None else JSONResponse(clip.for_json())


def _recordings(reader: ClipReader) -> APIRouter:
    router = APIRouter(prefix="/api/v1/recordings", tags=["clips"], route_class=JsonRoute)
    slots = ViewerLimit(_MOST_JOINED)

    @router.get("/{camera}.mp4", response_class=Response, summary="A camera's segments of a time as one video")
    def recording(camera: str, since: Moment, until: Moment) -> Response:
        if not since < until <= since + LONGEST:
            return JSONResponse({"error": "until must be after since, by at most 24 hours."}, status_code=422)
        segments = reader.segments(camera, since, until)
        if not segments:
            return JSONResponse({"error": f"Camera {camera} has no segments of that time."}, status_code=404)
        return _Recording(lambda: joined(reader.folder, segments, since, until), segments[0].camera, slots)

    return router


class _Recording(Response):
    """Joins segments as fast as the client accepts them; that is work for the processor, which the cameras need."""

    def __init__(self, join: Callable[[], Iterator[bytes]], camera: str, slots: ViewerLimit) -> None:
        super().__init__()
        self._join, self._camera, self._slots = join, camera, slots

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._slots.slot() as seated:
            response = await run_in_threadpool(self._response) if seated else _busy()
            await response(scope, receive, send)

    def _response(self) -> Response:
        try:
            pieces = _begun(self._join())
        except JoinError as error:
            return JSONResponse({"error": f"{error}."}, status_code=409)
        except (OSError, av.FFmpegError):
            return JSONResponse({"error": "A segment of that time cannot be read."}, status_code=503)
        name = f'inline; filename="{self._camera}.mp4"'
        return StreamingResponse(pieces, media_type="video/mp4", headers={"Content-Disposition": name})


def _busy() -> Response:
    told = {"error": f"{_MOST_JOINED} other recordings are being joined: try again later."}
    return JSONResponse(told, status_code=503, headers={"Retry-After": "5"})


def _begun(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Returns the pieces after the first was made: what is wrong shows then."""
    return chain([next(pieces, b"")], pieces)


def _none(number: int) -> Response:
    return JSONResponse({"error": f"There is no recording {number}."}, status_code=404)
