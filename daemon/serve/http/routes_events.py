"""The event journal over HTTP: queries, and live server-sent events (WHATWG HTML, 9.2), for all viewers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Header, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from sightd.daemon.events.event import Event
from sightd.daemon.events.journal import Journal
from sightd.daemon.events.journal_reader import JournalError
from sightd.daemon.events.query import Filter
from sightd.daemon.serve.http.bodies import JsonRoute, report_unavailable
from sightd.daemon.serve.limits import ViewerLimit

_MOST_STREAMS = 32
_AT_ONCE = 200
"""Events read from the journal at a time: what a slow client keeps in memory."""
HEARTBEAT = 15.0
"""Seconds of silence after which a comment is sent, so that proxies do not close the connection."""

_HIGHEST = 2**63 - 1
"""Largest id in SQLite."""
_MOST_DIGITS = 20
"""Digits of an id that are read: longer ids exceed all real ones, and Python refuses to parse thousands of digits."""

After = Annotated[int | None, Query(ge=0, le=_HIGHEST)]
Camera = Annotated[str | None, Query(max_length=63)]
KindOf = Annotated[str | None, Query(alias="kind", max_length=63)]
Since = Annotated[float | None, Query(ge=0, le=1e12, description="Seconds since the epoch")]
LastEventId = Annotated[str | None, Header()]


def add_events(app: FastAPI, journal: Journal, viewer_limit: ViewerLimit) -> None:
    """Adds the routes; event streams end when `viewer_limit` closes."""
    app.add_exception_handler(JournalError, report_unavailable)
    router = APIRouter(prefix="/api/events", tags=["events"], route_class=JsonRoute)
    slots = ViewerLimit(_MOST_STREAMS)

    @router.get("", summary="Events after an id, oldest first; without an id, the newest events")
    def events(
        after: After = None,
        camera: Camera = None,
        kind: KindOf = None,
        since: Since = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> list[dict[str, Any]]:
        wanted = Filter(camera, () if kind is None else (kind,), since)
        reader = journal.reader
        found = reader.latest(limit, wanted) if after is None else reader.after(after, limit, wanted)
        return [event.for_json() for event in found]

    @router.get("/stream", response_class=Response, summary="Stream of events from now on, or after Last-Event-ID")
    async def stream(
        after: After = None,
        camera: Camera = None,
        kind: KindOf = None,
        last_event_id: LastEventId = None,
    ) -> Response:
        if last_event_id is not None and last_event_id.isdecimal():  # sent by a browser that reconnects
            after = int(last_event_id[:_MOST_DIGITS])
        return _Stream(journal, Filter(camera, () if kind is None else (kind,)), after, slots, viewer_limit)

    app.include_router(router)


class _Stream(Response):
    """Reads the journal as fast as the client accepts it: a client that was slow or away misses no event still kept."""

    def __init__(
        self, journal: Journal, wanted: Filter, after: int | None, slots: ViewerLimit, viewer_limit: ViewerLimit
    ) -> None:
        super().__init__()
        self._journal, self._wanted, self._after = journal, wanted, after
        self._slots, self._viewer_limit = slots, viewer_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._slots.slot() as seated:
            if not seated:
                told = {"error": f"All {_MOST_STREAMS} event streams are in use."}
                await JSONResponse(told, status_code=503, headers={"Retry-After": "5"})(scope, receive, send)
                return
            oldest, newest = await run_in_threadpool(self._journal.reader.span)
            response = StreamingResponse(self._lines(oldest, newest), media_type="text/event-stream")
            await response(scope, receive, send)

    async def _lines(self, oldest: int, newest: int) -> AsyncIterator[str]:
        loop, more = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(more.set)

        with self._journal.followed(wake):
            last = newest if self._after is None else self._after
            if last > newest or last + 1 < oldest:  # events in between were deleted, or this is a new journal
                last = max(0, oldest - 1)
                yield f"event: gap\ndata: {json.dumps({'oldest': oldest})}\n\n"
            yield ": events follow\n\n"
            while True:
                more.clear()
                events = await run_in_threadpool(self._journal.reader.after, last, _AT_ONCE, self._wanted)
                for event in events:
                    yield _line(event)
                    last = event.id
                if events:
                    continue
                try:
                    woken = await asyncio.wait_for(self._viewer_limit.unless_closed(more.wait()), HEARTBEAT)
                except TimeoutError:
                    yield ":\n\n"
                else:
                    if woken is None:
                        return


def _line(event: Event) -> str:
    return f"id: {event.id}\ndata: {json.dumps(event.for_json(), ensure_ascii=False)}\n\n"
