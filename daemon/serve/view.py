"""What the web server needs to know of the daemon, and no more."""

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
    """Where a camera's stream is; the host is what the reader calls this machine."""

    scheme: Literal["rtsp", "rtsps"]
    port: int
    path: str

    def url(self, host: str) -> str:
        """The address as a player takes it. An IPv6 address is put in brackets."""
        return f"{self.scheme}://{f'[{host}]' if ':' in host else host}:{self.port}{self.path}"


@dataclass(frozen=True, slots=True)
class CameraEntry:
    """A camera as people see it."""

    name: str
    title: str
    rtsp: RtspAddress | None


@dataclass(frozen=True, slots=True)
class CameraStatus:
    """The state of a camera's feed.

    `since` is when the state began, in seconds since the epoch; while the feed is connecting or waiting, the time of
    the last frame, or of the camera's start if there was none. `reason` says why the state is not "live", without any
    secret; `fps` is 0 and `age` None while no picture comes; `size` is (width, height) in pixels; `encoder` is what
    encodes H.264 while somebody watches, and `encoder_reason` why that one. `age` is how old the newest live frame was
    when it arrived, in s by the stream's own clock; None if that is not measured.
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
    """What runs behind a plug-in, why that (`reason`), and how it fares."""

    model: str | None = None
    backend: str | None = None
    precision: str | None = None
    device: str | None = None
    reason: str | None = None
    breaker: Literal["closed", "open", "half-open"] = "closed"
    faults: int = 0


@dataclass(frozen=True, slots=True)
class ConfigurationStatus:
    """Whether the file on disk is what runs. `since` is when the state began, in seconds since the epoch; `detail` says
    why the last reload was refused or failed, without any secret."""

    state: Literal["current", "reloading", "refused", "failed"]
    since: float
    detail: str | None = None

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.since, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        match self.state:
            case "current":
                return f"the configuration is that of {since}"
            case "reloading":
                return f"a reload is under way since {since}"
            case _:
                return f"the reload of {since} {'was refused' if self.state == 'refused' else 'failed'}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the daemon does what it was set up for, and what keeps it from it."""

    ready: bool
    cameras: Mapping[str, CameraStatus]
    plugins: Mapping[str, PluginStatus]
    reasons: Sequence[str] = ()
    configuration: ConfigurationStatus | None = None


class DaemonView(Protocol):
    """The daemon, seen from the web. Called on the web server's threads; must return at once."""

    def cameras(self) -> Sequence[CameraEntry]:
        """The cameras that are on, in the order of the configuration."""

    def jpeg(self, camera: str) -> JpegStream | None:
        """The camera's pictures; None if there is no such camera."""

    def readiness(self) -> Readiness:
        """What `/readyz` tells."""

    def status(self) -> Status:
        """What `/api/status` tells. May wait for a disk."""

    def healthy(self) -> tuple[bool, str]:
        """Whether the process makes progress, and in a sentence how that is known."""
