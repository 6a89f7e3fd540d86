"""Reports the daemon's state: whether it is healthy, why it is not ready, and the content of /api/v1/status."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sightd.daemon.app.cameras import CameraManager
from sightd.daemon.app.plugin_services import PluginServices
from sightd.daemon.app.resources import disk_room
from sightd.daemon.common.process import installed_version
from sightd.daemon.config.load import LoadedConfig
from sightd.daemon.delivery.manager import EventDelivery
from sightd.daemon.events.journal import Journal
from sightd.daemon.pipeline.breaker import BreakerState
from sightd.daemon.pipeline.manager import Instance, PluginManager
from sightd.daemon.pipeline.plugin_observer import PluginObservation
from sightd.daemon.pipeline.supervisor import HANGS_AFTER
from sightd.daemon.recording.recorder import Recorder
from sightd.daemon.serve.http.control_socket import ControlSocket
from sightd.daemon.serve.http.server import HttpServer
from sightd.daemon.serve.jpeg_stream import JpegStream
from sightd.daemon.serve.limits import descriptor_shortage
from sightd.daemon.serve.live_video import CameraVideo
from sightd.daemon.serve.view import (
    CameraEntry,
    CameraReport,
    CameraStatus,
    ConfigurationStatus,
    EngineReport,
    PluginReport,
    PluginStatus,
    PluginStoreReport,
    Readiness,
    Servers,
    Status,
    StorageReport,
    StoreReport,
    Viewers,
)
from sightd.daemon.snapshots.writer import SnapshotWriter
from sightd.engines.files import state_directory


def plugin_status(instance: Instance) -> PluginStatus:
    supervisor = instance.supervisor
    if not instance.engines:
        return PluginStatus(breaker=supervisor.state.value, faults=supervisor.faults)
    engine = instance.engines[0]
    backend = engine.session.backend
    return PluginStatus(
        model=engine.model.name,
        backend=backend.name,
        precision=backend.precision,
        device=backend.device,
        reason=engine.reason,
        breaker=supervisor.state.value,
        faults=supervisor.faults,
    )


def plugin_reasons(instances: Mapping[str, Instance]) -> Iterator[str]:
    for name, instance in dict(instances).items():
        supervisor = instance.supervisor
        if supervisor.state is BreakerState.OPEN:
            yield f"plug-in {name} is disabled after repeated faults: {supervisor.last_fault}"
        if supervisor.busy_for > HANGS_AFTER:
            yield f"plug-in {name} hangs: it has been processing one batch for {supervisor.busy_for:.0f} s"


def starting(opening: str | None) -> str:
    """Describes the progress of a start. `opening` is the plug-in that is being opened."""
    return "starting" if opening is None else f"starting: opening plug-in {opening}"


def camera_reasons(started: bool, cameras: Mapping[str, CameraStatus], opening: str | None = None) -> Sequence[str]:
    if not started:
        return [starting(opening)]
    return [
        f"camera {name} is {status.state}" + (f": {status.reason}" if status.reason else "")
        for name, status in cameras.items()
        if status.state not in ("live", "ended")
    ]


_PACKAGES = ("onnxruntime", "openvino", "tensorrt", "opencv-python", "av", "numpy")
_PLUGIN_STATES = {BreakerState.CLOSED: "running", BreakerState.HALF_OPEN: "trial", BreakerState.OPEN: "out"}


def camera_reports(camera_manager: CameraManager, rtsp_host: str, http_url: str | None) -> list[CameraReport]:
    """Reports of the running cameras, in the order of the configuration."""
    runs, reports = camera_manager.runs, []
    for entry in camera_manager.entries():
        run = runs.get(entry.name)
        if run is None:
            continue
        status, feed, viewers = run.status(), run.feed, camera_manager.viewers(entry.name)
        reports.append(
            CameraReport(
                name=entry.name,
                title=entry.title,
                state=status.state,
                since=status.since,
                reason=status.reason,
                size=status.size,
                fps=status.fps or 0.0,
                age=status.age,
                last_frame=feed.last_frame_wall,
                frames=feed.frames,
                damaged=feed.damaged,
                faults={str(reason): count for reason, count in feed.faults.items()},
                last_error=feed.last_error,
                chain=run.chain,
                viewers=viewers,
                encoder=status.encoder or "",
                rtsp=None if entry.rtsp is None else entry.rtsp.url(rtsp_host),
                mjpeg=None if http_url is None else f"{http_url}/{entry.name}.mjpg",
                paused=run.paused if run.can_pause else None,
                ptz=camera_manager.ptz.get(entry.name) is not None,
            )
        )
    return reports


def plugin_report(instance: Instance, observation: PluginObservation | None) -> PluginReport:
    supervisor = instance.supervisor
    hangs = supervisor.busy_for > HANGS_AFTER
    engines = [
        EngineReport(
            engine.model.name,
            engine.session.backend.name,
            engine.session.backend.precision,
            engine.session.backend.device,
            engine.reason,
        )
        for engine in instance.engines
    ]
    return PluginReport(
        name=instance.name,
        state="hangs" if hangs else _PLUGIN_STATES[supervisor.state],
        seconds=None if observation is None else observation.seconds,
        faults=supervisor.faults,
        last_fault=supervisor.last_fault or None,
        engines=engines,
    )


def storage_report(
    directory: Path,
    journal: Journal,
    services: PluginServices,
    recorder: Recorder | None,
    snapshots: SnapshotWriter | None,
) -> StorageReport:
    """Storage use and errors. Queries the disk, which may block."""
    free, total = disk_room(directory)
    stores = {
        name: PluginStoreReport(str(one.path), _size(one.path), one.fault, one.kind)
        for name, one in services.storages.items()
    }
    galleries = {
        name: StoreReport(one.path, one.size, one.fault) for name, one in stores.items() if one.kind == "gallery"
    }
    path = journal.reader.path
    kept = StoreReport(str(path), _size(path), journal.fault)
    clips = None
    if recorder is not None:
        fault = next(iter(recorder.faults), None) or recorder.shortage
        clips = StoreReport(str(recorder.reader.folder), recorder.size, fault)
    pictures = None
    if snapshots is not None:
        pictures = StoreReport(str(snapshots.folder), snapshots.size, snapshots.fault or snapshots.shortage)
    return StorageReport(str(directory), free, total, kept, galleries, stores, clips, pictures)


def all_viewers(cameras: list[CameraReport]) -> Viewers:
    """Returns the viewers of all cameras together."""
    counts = [astuple(one.viewers) for one in cameras]
    return Viewers(*map(sum, zip(*counts, strict=True))) if counts else Viewers(0, 0)


@cache
def versions() -> Mapping[str, str]:
    """Versions of Python and of the packages that matter in a bug report."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


STALLED_AFTER = 10.0
"""Seconds without progress of an output loop or server after which the process counts as unhealthy."""
COMMIT_LIMIT = 60.0
"""Seconds after which a start or reload that is applying changes counts as hung."""


class DaemonState:
    """What the daemon reports of itself, to the web server (`DaemonView`) and to systemd.

    The daemon sets the attributes as it changes; all methods may be called from any thread.
    """

    def __init__(
        self,
        loaded: LoadedConfig,
        cameras: CameraManager,
        plugins: PluginManager,
        observations: Mapping[str, PluginObservation],
        journal: Journal,
        services: PluginServices,
        delivery: EventDelivery,
        recorder: Recorder | None = None,
        snapshots: SnapshotWriter | None = None,
    ) -> None:
        self.loaded, self._delivery = loaded, delivery
        self._cameras, self._plugins, self._observations = cameras, plugins, observations
        self._journal, self._services, self._recorder = journal, services, recorder
        self._snapshots = snapshots
        self.http: HttpServer | None = None
        self.control: ControlSocket | None = None
        self._began = time.monotonic()
        self.started = False
        self.opening: str | None = None
        """The plug-in that is being opened."""
        self.changing_since: float | None = None
        """Since when a start or reload is applying changes."""
        self.configuration = ConfigurationStatus("current", time.time())
        """Whether the running configuration matches the file; set by the thread that reloads it."""

    def cameras(self) -> Sequence[CameraEntry]:
        return self._cameras.entries()

    def jpeg(self, camera: str) -> JpegStream | None:
        return self._cameras.jpeg(camera)

    def rtsp_url(self, camera: str) -> str | None:
        """The camera's RTSP address as reached from this machine."""
        address = self._cameras.address(camera)
        return None if address is None else address.url(reachable(self.loaded.config.rtsp.host))

    def http_url(self) -> str | None:
        """The web server's address as reached from this machine; None if it is disabled or not started."""
        if self.http is None or not self.loaded.config.http.enabled:
            return None
        host = reachable(self.loaded.config.http.host)
        scheme = "http" if self.loaded.config.http.tls is None else "https"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.http.port}"

    def video(self, camera: str) -> CameraVideo | None:
        return self._cameras.video(camera)

    def readiness(self) -> Readiness:
        """Ready if everything has started, every camera is live and shown, no plug-in is disabled or hangs, and state
        can be written."""
        cameras = {name: run.status() for name, run in self._cameras.runs.items()}
        plugins = {name: plugin_status(instance) for name, instance in dict(self._plugins.instances).items()}
        lost = self._journal.fault
        state = [*([] if lost is None else [f"events cannot be kept: {lost}"]), *self._services.faults]
        state += [] if self._recorder is None else self._recorder.faults
        if self._snapshots is not None and (fault := self._snapshots.fault) is not None:
            state.append(fault)
        if few := descriptor_shortage():
            state.append(few)
        reasons = [
            *camera_reasons(self.started, cameras, self.opening),
            *plugin_reasons(self._plugins.instances),
            *state,
        ]
        return Readiness(not reasons, cameras, plugins, reasons, self.configuration)

    def status(self) -> Status:
        """Returns the content of `/api/v1/status`. May block on the disk that holds the state."""
        readiness, http_url = self.readiness(), self.http_url()
        uptime = time.monotonic() - self._began
        cameras = camera_reports(self._cameras, reachable(self.loaded.config.rtsp.host), http_url)
        rtsp = self._cameras.rtsp
        return Status(
            version=installed_version(),
            pid=os.getpid(),
            started_at=time.time() - uptime,
            uptime=uptime,
            config=str(self.loaded.path.absolute()),
            configuration=readiness.configuration,
            ready=readiness.ready,
            reasons=readiness.reasons,
            cameras=cameras,
            plugins=[
                plugin_report(instance, self._observations.get(name))
                for name, instance in dict(self._plugins.instances).items()
            ],
            viewers=all_viewers(cameras),
            servers=Servers(
                rtsp=None if rtsp is None else rtsp.address("").url(reachable(self.loaded.config.rtsp.host)),
                http=http_url,
                control=None if self.control is None else str(self.control.path),
            ),
            storage=storage_report(
                state_directory(os.environ), self._journal, self._services, self._recorder, self._snapshots
            ),
            versions=versions(),
            sinks=self._delivery.reports(),
        )

    def healthy(self) -> tuple[bool, str]:
        """Whether every loop (feeds, outputs, servers) makes progress. An offline camera does not make the process
        unhealthy, nor does a hanging plug-in, which its supervisor handles."""
        now, runs = time.monotonic(), self._cameras.runs
        stalled = [what for run in runs.values() if (what := run.stalled(now, STALLED_AFTER))]
        servers = {"the RTSP server": self._cameras.rtsp, "the web server": self.http}
        for name, server in servers.items():
            if server is not None and now - server.progress_at > STALLED_AFTER:
                stalled.append(name)
        since = self.changing_since
        if since is not None and now - since > COMMIT_LIMIT:
            stalled.append("a start or reload that is applying changes")
        if stalled:
            return False, f"{', '.join(stalled)} is stuck"
        loops = f"all loops of {len(runs)} cameras and {sum(map(bool, servers.values()))} servers are running"
        if not self.started:
            return True, f"{loops}; {starting(self.opening)}"
        return True, loops if self.configuration.state == "current" else f"{loops}; {self.configuration}"

    def summary(self) -> str:
        """Status in one line, for systemd."""
        states = [run.status() for run in self._cameras.runs.values()]
        live = [state for state in states if state.state in ("live", "ended")]
        away = f", {len(states) - len(live)} offline" if len(live) < len(states) else ""
        line = f"{len(live)} of {len(states)} cameras live{away}, {sum(state.fps or 0 for state in live):.0f} fps"
        return line if self.configuration.state == "current" else f"{line}; {self.configuration}"


def reachable(host: str) -> str:
    """The host to use in a URL if a server listens on all addresses."""
    return "127.0.0.1" if host in ("", "0.0.0.0", "::") else host
