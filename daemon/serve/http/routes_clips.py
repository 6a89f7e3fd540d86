"""Clips and segments over HTTP: queries, and the videos themselves with range requests, for all viewers."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query
from fastapi.responses import FileResponse, JSONResponse, Response

from sightd.daemon.recording.index import ClipFilter, ClipIndexError, ClipReader, Kind
from sightd.daemon.serve.http.bodies import JsonRoute, report_unavailable

_HIGHEST = 2**63 - 1
"""Largest id in SQLite."""

Id = Annotated[int | None, Query(ge=0, le=_HIGHEST)]
Camera = Annotated[str | None, Query(max_length=63)]
Time = Annotated[float | None, Query(ge=0, le=1e12, description="Seconds since the epoch")]


def add_clips(app: FastAPI, reader: ClipReader) -> None:
    app.add_exception_handler(ClipIndexError, report_unavailable)
    router = APIRouter(prefix="/api/clips", tags=["clips"], route_class=JsonRoute)

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
        clip = reader.clip(number) if 0 < number <= _HIGHEST else None
        path = None if clip is None else reader.folder / clip.path
        if clip is None or path is None or not path.is_file():
            return JSONResponse({"error": f"There is no recording {number}."}, status_code=404)
        name = f"{clip.camera}-{clip.id}.mp4"
        return FileResponse(path, media_type="video/mp4", filename=name, content_disposition_type="inline")

    app.include_router(router)
