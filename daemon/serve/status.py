"""GET /api/status: the daemon's complete state, for `sightd status`, scripts and web pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, FastAPI

from sightd.daemon.serve.view import ConfigurationStatus


@dataclass(frozen=True, slots=True)
class Viewers:
    """Number of viewers now."""

    rtsp: int
    mjpeg: int


@dataclass(frozen=True, slots=True)
class CameraReport:
    """A camera. `state` and `reason` as in /readyz; times in seconds since the epoch. `size` is (width, height) in
    pixels, `fps` the recent frame rate, `age` the newest frame's age on arrival, in s by the stream's own clock (null:
    not measured). `last_error` is the source's last error, which may be over."""

    name: str
    title: str
    state: str
    since: float
    reason: str | None
    size: tuple[int, int] | None
    fps: float
    age: float | None
    last_frame: float | None
    frames: int
    damaged: int
    faults: Mapping[str, int]
    last_error: str | None
    chain: Sequence[str]
    viewers: Viewers
    encoder: str
    rtsp: str | None
    mjpeg: str | None


@dataclass(frozen=True, slots=True)
class EngineReport:
    """A model running for a plug-in, the backend it runs on, and the reason for that choice."""

    model: str
    backend: str
    precision: str
    device: str
    reason: str


@dataclass(frozen=True, slots=True)
class PluginReport:
    """A plug-in instance. `state` is running, trial or out (both after failures), or hangs; `seconds` is the recent
    duration of a call, null before the first one."""

    name: str
    state: str
    seconds: float | None
    faults: int
    last_fault: str | None
    engines: Sequence[EngineReport]


@dataclass(frozen=True, slots=True)
class StoreReport:
    """A file that stores state. `size` in bytes, null if it does not exist; `fault` says why it cannot be written."""

    path: str
    size: int | None
    fault: str | None


@dataclass(frozen=True, slots=True)
class StorageReport:
    """`free` and `total` are bytes of the disk with the state `directory`, null if unknown."""

    directory: str
    free: int | None
    total: int | None
    journal: StoreReport
    galleries: Mapping[str, StoreReport]


@dataclass(frozen=True, slots=True)
class Servers:
    """The servers' addresses; null if a server is off."""

    rtsp: str | None
    http: str | None
    control: str | None


@dataclass(frozen=True, slots=True)
class Status:
    """The complete response. `uptime` in seconds, unaffected by jumps of the wall clock. New versions of sightd may add
    fields and never remove any."""

    version: str
    pid: int
    started_at: float
    uptime: float
    config: str
    configuration: ConfigurationStatus | None
    ready: bool
    reasons: Sequence[str]
    cameras: Sequence[CameraReport]
    plugins: Sequence[PluginReport]
    viewers: Viewers
    servers: Servers
    storage: StorageReport
    versions: Mapping[str, str]


def add_status(app: FastAPI, status: Callable[[], Status]) -> None:
    """Adds the route, for every role. `status` may block on a disk."""
    router = APIRouter(prefix="/api", tags=["status"])

    @router.get("/status", summary="Cameras, plug-ins, models, viewers, storage and versions")
    def report() -> Status:
        return status()

    app.include_router(router)
