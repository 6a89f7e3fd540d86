"""Finds cameras in the network and tries addresses, for the role admin: both make this machine send requests."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from sightd.daemon.config.model import Camera
from sightd.daemon.onvif.discovery import MOST_SECONDS, FoundDevice, NoInterfaceError, discover
from sightd.daemon.onvif.finder import Kind, Login, Transport, attempt, found_for_json, known_as
from sightd.daemon.serve.auth import Access, Role
from sightd.daemon.serve.http.answers import Failure
from sightd.daemon.serve.http.auth import at_least, principal_of

MOST_PROBES = 4
"""Addresses that are tried at a time; one for each user."""
_CHECKED = 0.25
"""Seconds between two looks whether the client is still there."""

Cameras = Callable[[], Mapping[str, Camera]]
Discover = Callable[..., list[FoundDevice]]


class Search(BaseModel):
    """How to look for cameras."""

    model_config = ConfigDict(extra="forbid")

    seconds: float = Field(3.0, ge=0.5, le=MOST_SECONDS, description="How long to wait for answers.")
    interfaces: list[Annotated[str, Field(min_length=1, max_length=15)]] = Field(
        [], max_length=16, description="Network interfaces to ask on; by default all that are up and know multicast."
    )


class FoundCamera(BaseModel):
    """A device that answered. `camera` is the name of a configured camera on its host."""

    host: str
    address: str
    name: str
    hardware: str
    location: str
    camera: str | None


class Attempt(BaseModel):
    """An address to try. Nothing of it is stored."""

    model_config = ConfigDict(extra="forbid")

    address: str = Field(
        min_length=1,
        max_length=4096,
        description="rtsp(s)://, http(s)://, /dev/videoN or testpattern:// for a picture; HOST, HOST:PORT or the URL "
        "of a device service for what an ONVIF device offers.",
    )
    username: str = Field("", max_length=200)
    password: SecretStr = Field(SecretStr(""), max_length=200)
    kind: Kind | None = Field(None, description="By default by the address.")
    transport: Transport = Field("tcp", description="RTSP transport.")


class Sound(BaseModel):
    codec: str
    rate: int
    channels: int


class ProbeFailure(BaseModel):
    """Why there is no picture, or no answer: `reason` as in the events of cameras, `words` for people, and `error` with
    what to check."""

    ok: Literal[False] = False
    kind: Kind
    reason: str
    words: str
    error: str


class StreamReport(BaseModel):
    """A stream that was seen. `picture` is a JPEG in Base64; `key_frame_interval` is in s, null if it was not seen
    twice; `audio` is the sound that can be recorded. `address` has no credentials."""

    ok: Literal[True] = True
    kind: Literal["stream"] = "stream"
    address: str
    picture: str
    codec: str | None
    width: int
    height: int
    fps: float | None
    key_frame_interval: float | None
    audio: Sound | None


class ProfileReport(BaseModel):
    """A media profile, as the device describes it. `ptz`: it can move the camera; `error`: why it has no address."""

    token: str
    name: str
    codec: str
    width: int | None
    height: int | None
    fps: float | None
    bitrate: int | None
    audio: str | None
    ptz: bool
    address: str | None
    snapshot: str | None
    error: str | None


class DeviceReport(BaseModel):
    """An ONVIF device. `clock_offset` in s is how far its clock is ahead."""

    ok: Literal[True] = True
    kind: Literal["onvif"] = "onvif"
    address: str
    manufacturer: str
    model: str
    firmware: str
    clock_offset: float
    profiles: list[ProfileReport]


def add_finding(app: FastAPI, cameras: Cameras, access: Access, search: Discover | None = None) -> None:
    """Adds the routes to `app`. `cameras` returns those of the configuration; `search` looks for devices, by default by
    WS-Discovery."""
    router = APIRouter(prefix="/api/v1", tags=["cameras"], route_class=at_least(Role.ADMIN, access))
    searching, probing = _Turns(1), _Turns(MOST_PROBES)
    busy: dict[int | str, dict[str, Any]] = {429: {"model": Failure, "description": "One is in progress already"}}

    @router.post("/discovery", summary="Find ONVIF cameras in the network", response_model=list[FoundCamera],
                 responses={**busy, 409: {"model": Failure, "description": "There is no such interface"}})  # fmt: skip
    async def find(request: Request, wanted: Search | None = None) -> Response:
        asked = wanted or Search()
        with searching.turn(principal_of(request).name) as is_free:
            if not is_free:
                return _busy("a search")
            try:
                found = await run_in_threadpool(partial(search or discover, asked.seconds, asked.interfaces))
            except (NoInterfaceError, OSError) as error:
                return JSONResponse({"error": f"Cannot search: {error}."}, status_code=409)
        return JSONResponse([found_for_json(device, name) for device, name in known_as(found, cameras())])

    @router.post("/cameras/probe", summary="Try the address of a camera: a picture, or what an ONVIF device offers",
                 response_model=StreamReport | DeviceReport | ProbeFailure, responses={**busy})  # fmt: skip
    async def tried(request: Request, wanted: Attempt) -> Response:
        with probing.turn(principal_of(request).name) as is_free:
            if not is_free:
                return _busy("a test")
            cancelled = threading.Event()
            login = Login(wanted.username, wanted.password.get_secret_value())
            asked = (wanted.address, login, wanted.kind, wanted.transport, cancelled)
            work = asyncio.ensure_future(run_in_threadpool(attempt, *asked))
            try:
                while not work.done():
                    await asyncio.wait({work}, timeout=_CHECKED)
                    if await request.is_disconnected():
                        cancelled.set()
                return JSONResponse(await work)
            finally:
                cancelled.set()

    app.include_router(router)


class _Turns:
    """Admits one request of each user, and a number of them together. Used on the event loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._running: Counter[str] = Counter()

    @contextmanager
    def turn(self, name: str) -> Iterator[bool]:
        """Yields whether the request may run."""
        if self._running[name] or self._running.total() >= self._most:
            yield False
            return
        self._running[name] += 1
        try:
            yield True
        finally:
            del self._running[name]


def _busy(what: str) -> Response:
    told = {"error": f"{what.capitalize()} is in progress already: try again in a few seconds."}
    return JSONResponse(told, status_code=429, headers={"Retry-After": "5"})
