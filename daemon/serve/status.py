"""GET /api/status: everything about the daemon at a glance, for `sightd status`, scripts and pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, FastAPI

from sightd.daemon.serve.view import ConfigurationStatus


@dataclass(frozen=True, slots=True)
class Viewers:
    """How many watch now."""

    rtsp: int
    mjpeg: int


@dataclass(frozen=True, slots=True)
class CameraReport:
    """A camera. `state` and `reason` as in /readyz; times in seconds since the epoch. `size` is (width, height) in
    pixels, `fps` frames a second of late, `age` how old the newest frame was when it arrived, in s by the stream's own
    clock (null: not measured). `last_error` is the last fault of the source, which may be over."""

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
    """A model that runs for a plug-in, on what, and why that."""

    model: str
    backend: str
    precision: str
    device: str
    reason: str


@dataclass(frozen=True, slots=True)
class PluginReport:
    """A plug-in instance. `state` is running, trial or out (both after faults), or hangs; `seconds` is the time
    of a call of late, null before the first one."""

    name: str
    state: str
    seconds: float | None
    faults: int
    last_fault: str | None
    engines: Sequence[EngineReport]


@dataclass(frozen=True, slots=True)
class StoreReport:
    """A file of the state. `size` in bytes, null if it is not there; `fault` says why it cannot be written."""

    path: str
    size: int | None
    fault: str | None


@dataclass(frozen=True, slots=True)
class StorageReport:
    """`free` and `total` are bytes of the disk with the state `directory`, null if it cannot be asked."""

    directory: str
    free: int | None
    total: int | None
    journal: StoreReport
    galleries: Mapping[str, StoreReport]


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the daemon listens; null if a server is off."""

    rtsp: str | None
    http: str | None
    control: str | None


@dataclass(frozen=True, slots=True)
class Status:
    """The whole answer. `uptime` in seconds; jumps of the wall clock do not change it. Fields are added as sightd
    grows; those that are here stay."""

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
    """Adds the route, for every role. `status` may wait for a disk."""
    router = APIRouter(prefix="/api", tags=["status"])

    @router.get("/status", summary="Cameras, plug-ins, models, viewers, storage and versions")
    def report() -> Status:
        return status()

    app.include_router(router)
