"""JSON of requests and answers: bounded before it is parsed, and parsed or rendered beside the event loop.

The loop serves every viewer of the web server, and whatever holds the interpreter holds every camera, too.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

import numpy as np
from fastapi import HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from pydantic_core import from_json

MOST_VALUES = 10_000
"""Values in a body of JSON, unless a route says otherwise."""
_SCANNED_AT_ONCE = 1 << 20
"""Bytes between two moments at which other threads have their turn."""
_STRUCTURE = b",[{"
"""Each value but the first follows one of these."""
_MOST_ERRORS = 20
_LONGEST = 100
"""Characters of a request that an answer repeats, for each part."""


class JsonRequest(Request):
    """A request whose JSON is parsed on a worker thread, if it has no more than MOST_VALUES values."""

    async def json(self) -> Any:
        """Raises HTTPException: 413 if it has too many values, 422 if it is no JSON."""
        if not hasattr(self, "_json"):
            self._json = await run_in_threadpool(parsed, await self.body())
        return self._json


class JsonRoute(APIRoute):
    """A route that parses its body, and renders what an `endpoint` returns that is no coroutine, on a worker thread.
    FastAPI itself does both on the event loop."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        if not iscoroutinefunction(endpoint):
            endpoint = _rendering(endpoint, options.get("status_code") or 200)
        super().__init__(path, endpoint, **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_json(request: Request) -> Response:
            return await handle(JsonRequest(request.scope, request.receive))

        return handle_json


def _rendering(endpoint: Callable[..., Any], status: int) -> Callable[..., Any]:
    """`endpoint`, with its result as a response. FastAPI calls either on a worker thread."""

    @wraps(endpoint)
    def rendered(*args: Any, **options: Any) -> Any:
        result = endpoint(*args, **options)
        return result if result is None or isinstance(result, Response) else JSONResponse(result, status)

    return rendered


def parsed(body: bytes) -> Any:
    """Any thread. Raises HTTPException: 413 if there are more than MOST_VALUES values, 422 if it is no JSON."""
    require_values(body, MOST_VALUES)
    try:
        return from_json(body, allow_inf_nan=False, cache_strings="none")
    except ValueError as error:
        raise HTTPException(422, f"The body is not JSON: {str(error)[:_LONGEST]}.") from None


def require_values(body: bytes, most: int) -> None:
    """Raises HTTPException 413 if JSON in `body` may have more than `most` values. Takes no memory for them; commas
    and brackets in strings count as well."""
    found, data = 1, np.frombuffer(body, np.uint8)
    for start in range(0, len(data), _SCANNED_AT_ONCE):
        part = data[start : start + _SCANNED_AT_ONCE]
        found += sum(int(np.count_nonzero(part == character)) for character in _STRUCTURE)
        if found > most:
            raise HTTPException(413, f"The body has more than {most} values.")


async def refuse_invalid(_request: Request, error: Exception) -> Response:
    """Answers a request that does not fit its route: what is wrong and where, without repeating the body."""
    assert isinstance(error, RequestValidationError)
    problems = [
        {"type": one["type"], "loc": [_short(part) for part in one["loc"]], "msg": _short(one["msg"])}
        for one in error.errors()[:_MOST_ERRORS]
    ]
    return JSONResponse({"detail": problems}, status_code=422)


def _short(part: str | int) -> str | int:
    return part[:_LONGEST] if isinstance(part, str) else part
