"""JSON request and response bodies: size-checked before parsing, and parsed or rendered off the event loop.

The loop serves every viewer of the web server, and whatever holds the GIL also stalls every camera.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

import numpy as np
from fastapi import HTTPException, Request, WebSocket
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from pydantic_core import from_json

MOST_VALUES = 10_000
"""Values in a JSON body, unless a route sets its own limit."""
_SCANNED_AT_ONCE = 1 << 20
"""Bytes scanned before other threads get a turn."""
_STRUCTURE = b",[{"
"""Each value but the first follows one of these characters."""
_MOST_ERRORS = 20
_LONGEST = 100
"""Characters of a request that a response quotes, per part."""


class JsonRequest(Request):
    """A request whose JSON is parsed on a worker thread, if it has at most MOST_VALUES values."""

    async def json(self) -> Any:
        """Returns the parsed body. Raises HTTPException: 413 if it has too many values, 422 if it is not JSON."""
        if not hasattr(self, "_json"):
            self._json = await run_in_threadpool(parsed, await self.body())
        return self._json


class JsonRoute(APIRoute):
    """A route that parses its body on a worker thread and, unless `endpoint` is a coroutine function, renders the
    result there too. FastAPI does both on the event loop."""

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
    """Wraps `endpoint` to return its result as a response. FastAPI calls both on a worker thread."""

    @wraps(endpoint)
    def rendered(*args: Any, **options: Any) -> Any:
        result = endpoint(*args, **options)
        return result if result is None or isinstance(result, Response) else JSONResponse(result, status)

    return rendered


def parsed(body: bytes) -> Any:
    """Parses JSON. Thread-safe. Raises HTTPException: 413 if there are more than MOST_VALUES values, 422 if it is not
    JSON."""
    require_values(body, MOST_VALUES)
    try:
        return from_json(body, allow_inf_nan=False, cache_strings="none")
    except ValueError as error:
        raise HTTPException(422, f"The body is not JSON: {str(error)[:_LONGEST]}.") from None


def require_values(body: bytes, most: int) -> None:
    """Raises HTTPException 413 if the JSON in `body` may have more than `most` values. Allocates nothing for them;
    commas and brackets inside strings count too."""
    found, data = 1, np.frombuffer(body, np.uint8)
    for start in range(0, len(data), _SCANNED_AT_ONCE):
        part = data[start : start + _SCANNED_AT_ONCE]
        found += sum(int(np.count_nonzero(part == character)) for character in _STRUCTURE)
        if found > most:
            raise HTTPException(413, f"The body has more than {most} values.")


async def refuse_invalid(_request: Request | WebSocket, error: Exception) -> Response:
    """Answers a request that fails its route's validation: says what is wrong and where, without echoing the body."""
    assert isinstance(error, RequestValidationError | WebSocketRequestValidationError)
    return invalid(error.errors())


def invalid(errors: Sequence[Any]) -> Response:
    """Returns the answer to a request with these validation errors."""
    problems = [
        {"type": one["type"], "loc": [_short(part) for part in one["loc"]], "msg": _short(one["msg"])}
        for one in errors[:_MOST_ERRORS]
    ]
    return JSONResponse({"detail": problems}, status_code=422)


async def report_unavailable(_request: Request, error: Exception) -> Response:
    """Answers a request that needs something unavailable, such as a model or the journal."""
    return JSONResponse({"error": str(error)}, status_code=503)


def _short(part: str | int) -> str | int:
    return part[:_LONGEST] if isinstance(part, str) else part
