"""The event journal over HTTP: queries, and live server-sent events (WHATWG HTML, 9.2), for all viewers."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from threading import Semaphore
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from sightd.daemon.events.event import Event
from sightd.daemon.events.export import MEDIA_TYPES, TextFormat, pages, text_of
from sightd.daemon.events.journal import Journal
from sightd.daemon.events.journal_reader import JournalError, JournalReader, SlowQueryError
from sightd.daemon.events.query import HIGHEST, Filter, InvalidQueryError
from sightd.daemon.events.statistics import (
    By,
    Grouping,
    Period,
    statistics,
    timezone_named,
)
from sightd.daemon.serve.http.bodies import JsonRoute, report_unavailable
from sightd.daemon.serve.http.event_filters import Id, Name, Time, event_filter, require_order
from sightd.daemon.serve.limits import ViewerLimit

_MOST_STREAMS = 32
_MOST_EXPORTS = 4
_MOST_QUERIES = 4
_WAITS = 0.5
"""Seconds that a query waits for its turn."""
_AT_ONCE = 200
"""Events read from the journal at a time: what a slow client keeps in memory."""
HEARTBEAT = 15.0
"""Seconds of silence after which a comment is sent, so that proxies do not close the connection."""

_MOST_DIGITS = 20
"""Digits of an id that are read: longer ids exceed all real ones, and Python refuses to parse thousands of digits."""

LastEventId = Annotated[str | None, Header()]
Wanted = Annotated[Filter, Depends(event_filter)]


def add_events(app: FastAPI, journal: Journal, viewer_limit: ViewerLimit) -> None:
    """Adds the routes; event streams end when `viewer_limit` closes."""
    app.add_exception_handler(JournalError, report_unavailable)
    app.add_exception_handler(SlowQueryError, _refuse)
    app.add_exception_handler(InvalidQueryError, _refuse)
    router = APIRouter(prefix="/api/v1/events", tags=["events"], route_class=JsonRoute)
    _add_queries(router, journal.reader)
    slots = ViewerLimit(_MOST_STREAMS)

    @router.get("/stream", response_class=Response, summary="Stream of events from now on, or after Last-Event-ID")
    async def stream(wanted: Wanted, after: Id = None, last_event_id: LastEventId = None) -> Response:
        if last_event_id is not None and last_event_id.isdecimal():  # sent by a browser that reconnects
            after = int(last_event_id[:_MOST_DIGITS])
        return _Stream(journal, wanted, after, slots, viewer_limit)

    @router.get("/{number}", summary="An event")
    def event(number: Annotated[int, Path(ge=1, lt=HIGHEST)]) -> Response:
        found = journal.reader.event(number)
        if found is None:
            return JSONResponse({"error": f"Event {number} does not exist or is no longer stored."}, status_code=404)
        return JSONResponse(found.for_json())

    app.include_router(router)


def _add_queries(router: APIRouter, reader: JournalReader) -> None:
    slots, turns = ViewerLimit(_MOST_EXPORTS), Semaphore(_MOST_QUERIES)

    @router.get("", summary="Events after an id, oldest first; without an id, the newest events")
    def events(
        wanted: Wanted,
        after: Id = None,
        before: Id = None,
        since: Time = None,
        until: Time = None,
        text: Name = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> list[dict[str, Any]]:
        wanted, before = _within(wanted, since, until, text), HIGHEST if before is None else before
        with _turn(turns):
            if after is None:
                found = reader.latest(limit, wanted, before)
            else:
                found = reader.after(after, limit, wanted, before)
        return [event.for_json() for event in found]

    @router.get("/statistics", summary="Counts of events per hour or day, by the values of fields")
    def counts(
        wanted: Wanted,
        since: Time = None,
        until: Time = None,
        text: Name = None,
        per: Period | None = None,
        by: Annotated[list[By] | None, Query(max_length=len(By))] = None,
        timezone: Annotated[str | None, Query(max_length=63, description="Such as Europe/Berlin")] = None,
    ) -> dict[str, Any]:
        grouping = Grouping(per, tuple(dict.fromkeys(by or ())), None if timezone is None else timezone_named(timezone))
        with _turn(turns):
            return statistics(reader, _within(wanted, since, until, text), grouping, time.time()).for_json()

    @router.get("/export", response_class=Response, summary="All events, oldest first, as a file")
    async def export(
        wanted: Wanted,
        form: Annotated[TextFormat, Query(alias="format")],
        after: Id = None,
        since: Time = None,
        until: Time = None,
        text: Name = None,
    ) -> Response:
        wanted = _within(wanted, since, until, text)
        newest = (await run_in_threadpool(reader.span))[1]

        def page(last: int, limit: int) -> Sequence[Event]:
            return reader.after(last, limit, wanted, newest + 1)

        return _Export(text_of(pages(page, after or 0), form), form, slots)


@contextmanager
def _turn(turns: Semaphore) -> Iterator[None]:
    """Limits queries at the same time, which are work for the processor that the cameras need. Raises JournalError."""
    if not turns.acquire(timeout=_WAITS):
        raise JournalError(f"{_MOST_QUERIES} other queries of events are running: try again in some seconds")
    try:
        yield
    finally:
        turns.release()


def _within(wanted: Filter, since: float | None, until: float | None, text: str | None) -> Filter:
    require_order(since, until)
    return replace(wanted, since=since, until=until, text=text)


async def _refuse(_request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, status_code=400)


async def _respond_busy(what: str, most: int, scope: Scope, receive: Receive, send: Send) -> None:
    told = {"error": f"All {most} {what} are in use."}
    await JSONResponse(told, status_code=503, headers={"Retry-After": "5"})(scope, receive, send)


class _Export(Response):
    """Sends pages as fast as the client accepts them."""

    def __init__(self, text: Iterator[str], form: TextFormat, slots: ViewerLimit) -> None:
        super().__init__()
        self._text, self._form, self._slots = text, form, slots

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._slots.slot() as seated:
            if not seated:
                await _respond_busy("exports", _MOST_EXPORTS, scope, receive, send)
                return
            headers = {"Content-Disposition": f'attachment; filename="events.{self._form}"'}
            response = StreamingResponse(self._text, media_type=MEDIA_TYPES[self._form], headers=headers)
            await response(scope, receive, send)


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
                await _respond_busy("event streams", _MOST_STREAMS, scope, receive, send)
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
                reader = self._journal.reader
                events, last = await run_in_threadpool(reader.follow, last, _AT_ONCE, self._wanted)
                for event in events:
                    yield _line(event)
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
