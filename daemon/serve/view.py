"""The daemon as the web server sees it: its cameras, their images, and the state that it reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol

from sightd.daemon.delivery.manager import SinkReport
from sightd.daemon.serve.jpeg_stream import JpegStream
from sightd.daemon.serve.live_video import CameraVideo


@dataclass(frozen=True, slots=True)
class RtspAddress:
    """A camera's RTSP address without the host, which depends on how the reader reaches this machine."""

    scheme: Literal["rtsp", "rtsps"]
    port: int
    path: str

    def url(self, host: str) -> str:
        """The URL for a player. Puts IPv6 addresses in brackets."""
        return f"{self.scheme}://{f'[{host}]' if ':' in host else host}:{self.port}{self.path}"


@dataclass(frozen=True, slots=True)
class CameraEntry:
    """A camera as shown to viewers."""

    name: str
    title: str
    rtsp: RtspAddress | None


@dataclass(frozen=True, slots=True)
class CameraStatus:
    """The state of a camera's feed.

    `since` is when the state began, in seconds since the epoch; while connecting or waiting, the time of the last
    frame, or of the camera's start if there was none. `reason` says why the state is not "live", without secrets; `fps`
    is 0 and `age` None while no frames arrive; `size` is (width, height) in pixels; `encoder` encodes H.264 while
    somebody watches, and `encoder_reason` explains its choice. `age` is the newest live frame's age on arrival, in s by
    the stream's own clock; None if not measured.
    """

    state: str
    since: float
    reason: str | None = None
    size: tuple[int, int] | None = None
    fps: float | None = None
    encoder: str | None = None
    encoder_reason: str | None = None
    age: float | None = None


@dataclass(frozen=True, slots=True)
class PluginStatus:
    """The model and backend of a plug-in, the `reason` for that choice, and its health."""

    model: str | None = None
    backend: str | None = None
    precision: str | None = None
    device: str | None = None
    reason: str | None = None
    breaker: Literal["closed", "open", "half-open"] = "closed"
    faults: int = 0


@dataclass(frozen=True, slots=True)
class ConfigurationStatus:
    """Whether the running configuration matches the file. `since` is when the state began, in seconds since the epoch;
    `detail` says why the last reload was refused or failed, without secrets."""

    state: Literal["current", "reloading", "refused", "failed"]
    since: float
    detail: str | None = None

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.since, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        match self.state:
            case "current":
                return f"the configuration was loaded at {since}"
            case "reloading":
                return f"a reload has been in progress since {since}"
            case _:
                return f"the reload of {since} {'was refused' if self.state == 'refused' else 'failed'}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the daemon does what it is configured to do, and the reasons if not."""

    ready: bool
    cameras: Mapping[str, CameraStatus]
    plugins: Mapping[str, PluginStatus]
    reasons: Sequence[str] = ()
    configuration: ConfigurationStatus | None = None


class DaemonView(Protocol):
    """The daemon as seen by the web server. Called on the web server's threads; all methods but `status` must not
    block."""

    def cameras(self) -> Sequence[CameraEntry]:
        """The enabled cameras, in the order of the configuration."""

    def jpeg(self, camera: str) -> JpegStream | None:
        """The camera's images; None if there is no such camera."""

    def video(self, camera: str) -> CameraVideo | None:
        """The camera's video for browsers; None if there is no such camera."""

    def readiness(self) -> Readiness:
        """The content of `/readyz`."""

    def status(self) -> Status:
        """The content of `/api/v1/status`. May block on a disk."""

    def healthy(self) -> tuple[bool, str]:
        """Whether the process makes progress, and a sentence that explains how that is known."""


@dataclass(frozen=True, slots=True)
class Viewers:
    """Number of viewers now."""

    rtsp: int
    mjpeg: int
    webrtc: int = 0
    mse: int = 0


@dataclass(frozen=True, slots=True)
class CameraReport:
    """A camera. `state` and `reason` as in /readyz; times in seconds since the epoch. `size` is (width, height) in
    pixels, `fps` the recent frame rate, `age` the newest frame's age on arrival, in s by the stream's own clock (null:
    not measured). `last_error` is the source's last error, which may be over. `paused`: whether the analysis
    is paused; null if it cannot be, because the chain redacts."""

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
    paused: bool | None = None
    ptz: bool = False
    """Whether the camera can be moved."""


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
class PluginStoreReport(StoreReport):
    """A file that stores the state of a plug-in. `kind` says what it is, such as "gallery"."""

    kind: str


@dataclass(frozen=True, slots=True)
class StorageReport:
    """`free` and `total` are bytes of the disk with the state `directory`, null if unknown. `plugins` are the files of
    plug-in instances by name, `galleries` those of them that are galleries; `clips` and `snapshots` are
    the folders of these, null if there are none."""

    directory: str
    free: int | None
    total: int | None
    journal: StoreReport
    galleries: Mapping[str, StoreReport]
    plugins: Mapping[str, PluginStoreReport]
    clips: StoreReport | None = None
    snapshots: StoreReport | None = None


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
    sinks: Sequence[SinkReport] = ()
