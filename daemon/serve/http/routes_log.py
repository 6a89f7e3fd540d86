"""The newest log records over HTTP, and a stream of further ones, for the role admin. Secrets are redacted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, FastAPI, Query
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from sightd.daemon.serve.auth import Access, Role
from sightd.daemon.serve.http.auth import at_least
from sightd.daemon.serve.limits import ViewerLimit

_MOST_READERS = 8
_MOST_LINES = 2000
_AT_ONCE = 200
HEARTBEAT = 15.0
"""Seconds of silence after which a comment is sent, so that proxies do not close the connection."""

Lines = Annotated[int, Query(ge=0, le=_MOST_LINES, description="How many of the newest records.")]


class Record(Protocol):
    """A record as JSON in one line; numbers increase by one."""

    @property
    def number(self) -> int: ...

    @property
    def text(self) -> str: ...


class LogTail(Protocol):
    """The newest log records. Thread-safe."""

    def newest(self, most: int, after: int = 0) -> Sequence[Record]:
        """Returns the newest `most` records with a number above `after`, the oldest of them first."""
        ...

    def followed(self, wake: Callable[[], None]) -> AbstractContextManager[None]:
        """Calls `wake` after each new record, on any thread."""
        ...


def add_log(app: FastAPI, tail: LogTail, access: Access, viewer_limit: ViewerLimit) -> None:
    """Adds the routes; streams end when `viewer_limit` closes."""
    router = APIRouter(prefix="/api/v1/log", tags=["log"], route_class=at_least(Role.ADMIN, access))
    slots = ViewerLimit(_MOST_READERS)

    @router.get("", summary="The newest log records, the oldest of them first", response_model=list[dict[str, Any]])
    def newest(lines: Lines = 200) -> Response:
        text = ",".join(record.text for record in tail.newest(lines))
        return Response(f"[{text}]", media_type="application/json")

    @router.get("/stream", response_class=Response, summary="Stream of log records: the newest ones, then new ones")
    async def stream(lines: Lines = 50) -> Response:
        return _Stream(tail, lines, slots, viewer_limit)

    app.include_router(router)


class _Stream(Response):
    """Server-sent events. A client that is slow misses records, and gets an event `gap` with their number."""

    def __init__(self, tail: LogTail, lines: int, slots: ViewerLimit, viewer_limit: ViewerLimit) -> None:
        super().__init__()
        self._tail, self._lines, self._slots, self._viewer_limit = tail, lines, slots, viewer_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._slots.slot() as seated:
            if not seated:
                told = {"error": f"All {_MOST_READERS} streams of the log are in use."}
                await JSONResponse(told, status_code=503, headers={"Retry-After": "5"})(scope, receive, send)
                return
            response = StreamingResponse(self._events(), media_type="text/event-stream")
            await response(scope, receive, send)

    async def _events(self) -> AsyncIterator[str]:
        loop, more = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(more.set)

        with self._tail.followed(wake):
            records = self._tail.newest(self._lines)
            last = records[-1].number if records else max((one.number for one in self._tail.newest(1)), default=0)
            yield ": the log follows\n\n"
            yield _text(records)
            while True:
                more.clear()
                records = self._tail.newest(_AT_ONCE, last)
                if records:
                    if (missed := records[0].number - last - 1) > 0:
                        yield f"event: gap\ndata: {json.dumps({'missed': missed})}\n\n"
                    last = records[-1].number
                    yield _text(records)
                    continue
                try:
                    woken = await asyncio.wait_for(self._viewer_limit.unless_closed(more.wait()), HEARTBEAT)
                except TimeoutError:
                    yield ":\n\n"
                else:
                    if woken is None:
                        return


def _text(records: Sequence[Record]) -> str:
    return "".join(f"id: {record.number}\ndata: {record.text}\n\n" for record in records)
