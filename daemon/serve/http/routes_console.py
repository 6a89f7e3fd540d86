"""The console: static files of the package, served at / and /console/. They are open to everyone, and contain nothing
of this installation."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath
from typing import Annotated

from fastapi import APIRouter, FastAPI, Header
from fastapi.responses import JSONResponse, Response

from sightd.daemon.serve.http.auth import OpenRoute

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
"""The pages' Content-Security-Policy. `connect-src 'self'` includes WebSockets of the same address."""
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file with the headers that it is sent with."""

    content: bytes
    headers: Mapping[str, str]


@cache
def static_files() -> Mapping[str, StaticFile]:
    """Returns all files of the console by their path below /console/. Nothing else can be requested."""
    root = resources.files("sightd.daemon.serve").joinpath("console")
    return {path: _static_file(path, file.read_bytes()) for path, file in _files(root)}


def _files(folder: Traversable, path: str = "") -> Iterator[tuple[str, Traversable]]:
    for one in folder.iterdir():
        if one.is_dir():
            yield from _files(one, f"{path}{one.name}/")
        elif PurePosixPath(one.name).suffix in _TYPES:
            yield f"{path}{one.name}", one


def _static_file(path: str, content: bytes) -> StaticFile:
    """Browsers ask each time whether a file has changed, so that an upgrade never mixes old and new modules. The tag is
    weak, as the file may be compressed."""
    headers = {
        "Content-Type": _TYPES[PurePosixPath(path).suffix],
        "Cache-Control": "no-cache",
        "Content-Security-Policy": POLICY,
        "ETag": f'W/"{hashlib.sha256(content).hexdigest()[:32]}"',
    }
    return StaticFile(content, headers)


IfNoneMatch = Annotated[str, Header(include_in_schema=False, max_length=4096)]


def add_console(app: FastAPI) -> None:
    """Adds the routes."""
    router = APIRouter(route_class=OpenRoute)

    def sent(path: str, known: str) -> Response:
        file = static_files().get(path)
        if file is None:
            return JSONResponse({"detail": "The console has no such file."}, status_code=404)
        if file.headers["ETag"] in (one.strip() for one in known.split(",")):
            return Response(status_code=304, headers=file.headers)
        return Response(file.content, headers=file.headers)

    @router.get("/", response_class=Response, summary="The console; requires no token")
    async def index(if_none_match: IfNoneMatch = "") -> Response:
        return sent("index.html", if_none_match)

    @router.get("/console/{path:path}", response_class=Response, summary="Files of the console; require no token")
    async def file(path: str, if_none_match: IfNoneMatch = "") -> Response:
        return sent(path, if_none_match)

    app.include_router(router)
