"""A camera's segments over HTTP: which times they show, pictures to look for one, and any time as one video."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from itertools import chain
from threading import Semaphore
from typing import Annotated

import av
from fastapi import APIRouter, Header, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from sightd.daemon.events.event import utc
from sightd.daemon.recording.index import Clip, ClipReader
from sightd.daemon.recording.joined import LONGEST, JoinError, joined
from sightd.daemon.recording.preview import MAX_WIDTH, MIN_WIDTH, PreviewError, preview
from sightd.daemon.serve.http.bodies import JsonRoute
from sightd.daemon.serve.limits import ViewerLimit

_MOST_JOINED = 4
"""Recordings that are joined at a time."""
_MOST_PREVIEWS = 2
"""Previews that are decoded at a time."""
_WAITS = 1.0
"""Seconds that a preview waits for its turn."""
_LONGEST_TIMES = 7 * 86400.0
_SHORTEST = 0.001
"""Seconds: what a moment is looked for with."""

Moment = Annotated[float, Query(ge=0, le=1e12, description="Seconds since the epoch")]
Width = Annotated[int, Query(ge=MIN_WIDTH, le=MAX_WIDTH, description="Pixels, at most as wide as the video")]
IfNoneMatch = Annotated[str, Header(include_in_schema=False, max_length=4096)]


class _BusyError(Exception):
    """All slots are taken."""


def recordings_router(reader: ClipReader) -> APIRouter:
    """Returns the routes."""
    router = APIRouter(prefix="/api/v1/recordings", tags=["clips"], route_class=JsonRoute)
    slots, turns = ViewerLimit(_MOST_JOINED), Semaphore(_MOST_PREVIEWS)

    @router.get("/{camera}.mp4", response_class=Response, summary="A camera's segments of a time as one video")
    def recording(camera: str, since: Moment, until: Moment) -> Response:
        if not since < until <= since + LONGEST:
            return JSONResponse({"error": "until must be after since, by at most 24 hours."}, status_code=422)
        segments = reader.segments(camera, since, until)
        if not segments:
            return JSONResponse({"error": f"Camera {camera} has no segments of that time."}, status_code=404)
        return _Recording(lambda: joined(reader.folder, segments, since, until), segments[0].camera, slots)

    @router.get("/{camera}/times", summary="Which times of at most a week a camera's segments show")
    def times(camera: str, since: Moment, until: Moment) -> Response:
        if not since < until <= since + _LONGEST_TIMES:
            return JSONResponse({"error": "until must be after since, by at most 7 days."}, status_code=422)
        found = [{"begin": utc(begin), "end": utc(end)} for begin, end in reader.times(camera, since, until)]
        return JSONResponse({"camera": camera, "times": found})

    @router.get("/{camera}/preview.jpg", response_class=Response, summary="The key frame at or before a time, JPEG")
    def picture(camera: str, time: Moment, width: Width = 320, if_none_match: IfNoneMatch = "") -> Response:
        segments = reader.segments(camera, time, time + _SHORTEST)
        if not segments:
            return JSONResponse({"error": f"Camera {camera} has no segment of that time."}, status_code=404)
        headers = {"ETag": _tag(segments[-1], time, width), "Cache-Control": "private, no-cache"}
        if headers["ETag"] in (one.strip() for one in if_none_match.split(",")):
            return Response(status_code=304, headers=headers)
        try:
            with _turn(turns):
                found = preview(reader.folder, segments[-1], time, width)
        except _BusyError:
            return _busy(f"{_MOST_PREVIEWS} other previews are being decoded: try again.", "1")
        except PreviewError as error:
            return JSONResponse({"error": f"{error}."}, status_code=503)
        return Response(found.jpeg, media_type="image/jpeg", headers={**headers, "X-Sightd-Time": f"{found.at:.3f}"})

    return router


def _tag(segment: Clip, time: float, width: int) -> str:
    """What is listed does not change, and ids are never reused; another index may have the same ids."""
    facts = f"{segment.id} {segment.path} {segment.size} {time} {width}"
    return f'"{sha256(facts.encode()).hexdigest()[:32]}"'


@contextmanager
def _turn(turns: Semaphore) -> Iterator[None]:
    """Limits what is decoded at the same time: work for the processor, which the cameras need."""
    if not turns.acquire(timeout=_WAITS):
        raise _BusyError
    try:
        yield
    finally:
        turns.release()


class _Recording(Response):
    """Joins segments as fast as the client accepts them; that is work for the processor, which the cameras need."""

    def __init__(self, join: Callable[[], Iterator[bytes]], camera: str, slots: ViewerLimit) -> None:
        super().__init__()
        self._join, self._camera, self._slots = join, camera, slots

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._slots.slot() as seated:
            response = await run_in_threadpool(self._response) if seated else _all_joining()
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


def _all_joining() -> Response:
    return _busy(f"{_MOST_JOINED} other recordings are being joined: try again later.", "5")


def _busy(error: str, seconds: str) -> Response:
    return JSONResponse({"error": error}, status_code=503, headers={"Retry-After": seconds})


def _begun(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Returns the pieces after the first was made: what is wrong shows then."""
    return chain([next(pieces, b"")], pieces)
