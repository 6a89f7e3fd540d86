"""The web server's interface to the daemon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, Protocol

from sightd.daemon.serve.mjpeg import JpegStream

if TYPE_CHECKING:
    from sightd.daemon.serve.status import Status


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

    def readiness(self) -> Readiness:
        """The content of `/readyz`."""

    def status(self) -> Status:
        """The content of `/api/status`. May block on a disk."""

    def healthy(self) -> tuple[bool, str]:
        """Whether the process makes progress, and a sentence that explains how that is known."""
