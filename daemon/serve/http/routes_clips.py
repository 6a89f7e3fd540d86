"""Clips and segments over HTTP: queries and videos for all viewers; who may protect or delete them depends on the
role."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query
from fastapi.responses import FileResponse, JSONResponse, Response

from sightd.daemon.events.query import HIGHEST
from sightd.daemon.recording.index import ClipFilter, ClipIndex, ClipIndexError, ClipReader, Kind
from sightd.daemon.serve.auth import Access, Role
from sightd.daemon.serve.http.auth import at_least
from sightd.daemon.serve.http.bodies import JsonRoute, report_unavailable
from sightd.daemon.serve.http.routes_recordings import recordings_router

Id = Annotated[int | None, Query(ge=0, le=HIGHEST)]
Camera = Annotated[str | None, Query(max_length=63)]
Time = Annotated[float | None, Query(ge=0, le=1e12, description="Seconds since the epoch")]


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

    for one in (router, _protection(reader, access), _deletion(reader, access), recordings_router(reader)):
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


def _none(number: int) -> Response:
    return JSONResponse({"error": f"There is no recording {number}."}, status_code=404)
