"""The snapshots of an event over HTTP, and the clip that shows it, for all viewers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, FastAPI, Path
from fastapi.responses import FileResponse, JSONResponse, Response

from sightd.daemon.events.event import Event
from sightd.daemon.events.journal_reader import JournalReader
from sightd.daemon.events.query import HIGHEST
from sightd.daemon.recording.index import Clip, ClipFilter, ClipReader
from sightd.daemon.serve.http.bodies import JsonRoute
from sightd.daemon.snapshots.store import ANNOTATED, CLEAN
from sightd.daemon.snapshots.writer import SnapshotWriter

_PATIENCE = 3.0
"""Seconds that a request waits for a snapshot that is being drawn."""
_RETRY_SNAPSHOT, _RETRY_CLIP = "1", "5"
"""Seconds after which a client should ask again."""
_MOST_CLIPS = 10
"""Clips of one event: more than one if the camera changed its frame size meanwhile."""
_FARTHEST = 600.0
"""Seconds between an event and its clip, which may lack the moment itself. A clip of another time belongs to an event
of an earlier journal."""

AwaitsClip = Callable[[int], bool]
"""Returns whether the clip of an event is being recorded."""

Id = Annotated[int, Path(ge=1, lt=HIGHEST)]


def add_event_media(
    app: FastAPI,
    journal: JournalReader,
    snapshots: SnapshotWriter | None,
    clips: ClipReader | None,
    awaits_clip: AwaitsClip,
) -> None:
    router = APIRouter(prefix="/api/v1/events/{number}", tags=["events"], route_class=JsonRoute)

    @router.get("/snapshot.jpg", response_class=Response, summary="The event as viewers saw it, JPEG")
    def snapshot(number: Id) -> Response:
        event = journal.event(number)
        return _no_event(number) if event is None else _snapshot(event, event.snapshot, ANNOTATED, snapshots)

    @router.get("/clean.jpg", response_class=Response, summary="The event without annotations, JPEG")
    def clean(number: Id) -> Response:
        event = journal.event(number)
        return _no_event(number) if event is None else _snapshot(event, event.clean_snapshot, CLEAN, snapshots)

    @router.get("/clip.mp4", response_class=Response, summary="The clip that shows the event; answers range requests")
    def clip(number: Id) -> Response:
        event = journal.event(number)
        return _no_event(number) if event is None else _clip(event, clips, awaits_clip)

    app.include_router(router)


def _snapshot(event: Event, linked: bool, ending: str, writer: SnapshotWriter | None) -> Response:
    if not linked or event.camera is None:
        return _missing(f"Event {event.id} has no snapshot.")
    if writer is None:
        return _missing("Snapshots are off: events.snapshots is not set.")
    if (path := writer.find(event, ending, _PATIENCE)) is not None:
        name = f"{event.camera}-{event.id}{ending}"
        return FileResponse(path, media_type="image/jpeg", filename=name, content_disposition_type="inline")
    if writer.is_pending(event.id):
        return _later(f"The snapshot of event {event.id} is being written.", _RETRY_SNAPSHOT)
    return _missing(_why_gone(event, writer))


def _why_gone(event: Event, writer: SnapshotWriter) -> str:
    if event.at < time.time() - writer.options.retention:
        return f"The snapshot of event {event.id} was deleted because of its age (events.snapshots.retention)."
    return (
        f"The snapshot of event {event.id} was deleted for lack of space (events.snapshots.max_size or min_free), or "
        "could not be written."
    )


def _clip(event: Event, reader: ClipReader | None, awaits_clip: AwaitsClip) -> Response:
    if not event.clip:
        return _missing(f"No clip of event {event.id} was recorded.")
    if reader is None:
        return _missing("Recording is off: recording.clips is not set.")
    is_awaited = awaits_clip(event.id)  # before the look: it may be finished between both
    near = ClipFilter(event.camera, event.at - _FARTHEST, event.at + _FARTHEST, event.id)
    clips = reader.clips(near, _MOST_CLIPS)
    if clips:
        found = _showing(clips, event.at)
        path = reader.folder / found.path
        name = f"{found.camera}-{event.id}.mp4"
        if path.is_file():
            return FileResponse(path, media_type="video/mp4", filename=name, content_disposition_type="inline")
    if is_awaited:
        return _later(f"The clip of event {event.id} is being recorded.", _RETRY_CLIP)
    return _missing(f"The clip of event {event.id} was deleted because of its age or size, or could not be recorded.")


def _showing(clips: list[Clip], at: float) -> Clip:
    """Returns the clip that shows a time (s since the epoch), else the nearest one."""
    return min(clips, key=lambda clip: max(clip.begin - at, at - clip.end, 0.0))


def _no_event(number: int) -> Response:
    return _missing(f"Event {number} does not exist or is no longer stored.")


def _missing(error: str) -> Response:
    return JSONResponse({"error": error}, status_code=404)


def _later(error: str, seconds: str) -> Response:
    return JSONResponse({"error": error}, status_code=409, headers={"Retry-After": seconds})
