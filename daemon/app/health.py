"""Reports the daemon's state: why it is not ready, and the content of /api/status."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sightd.daemon.app.cameras import CameraManager
from sightd.daemon.app.plugin_services import PluginServices
from sightd.daemon.events.journal import Journal
from sightd.daemon.pipeline.breaker import BreakerState
from sightd.daemon.pipeline.manager import Instance
from sightd.daemon.pipeline.plugin_observer import PluginObservation
from sightd.daemon.pipeline.supervisor import HANGS_AFTER
from sightd.daemon.serve.view import (
    CameraReport,
    CameraStatus,
    EngineReport,
    PluginReport,
    PluginStatus,
    PluginStoreReport,
    StorageReport,
    StoreReport,
    Viewers,
)


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


def storage_report(directory: Path, journal: Journal, services: PluginServices) -> StorageReport:
    """Storage use and errors. Queries the disk, which may block."""
    free, total = _room(directory)
    stores = {
        name: PluginStoreReport(str(one.path), _size(one.path), one.fault, one.kind)
        for name, one in services.storages.items()
    }
    galleries = {
        name: StoreReport(one.path, one.size, one.fault) for name, one in stores.items() if one.kind == "gallery"
    }
    path = journal.reader.path
    kept = StoreReport(str(path), _size(path), journal.fault)
    return StorageReport(str(directory), free, total, kept, galleries, stores)


def all_viewers(cameras: list[CameraReport]) -> Viewers:
    return Viewers(sum(one.viewers.rtsp for one in cameras), sum(one.viewers.mjpeg for one in cameras))


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


def _room(directory: Path) -> tuple[int | None, int | None]:
    """Free and total bytes on the disk of `directory`, which need not exist yet; (None, None) if unknown."""
    for place in (directory, *directory.parents):
        try:
            usage = shutil.disk_usage(place)
        except FileNotFoundError:
            continue
        except OSError:
            break
        return usage.free, usage.total
    return None, None


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
