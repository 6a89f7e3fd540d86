"""Explains in words why the daemon is not ready."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sightd.daemon.pipeline.breaker import BreakerState
from sightd.daemon.pipeline.manager import Instance
from sightd.daemon.pipeline.supervisor import HANGS_AFTER
from sightd.daemon.serve.view import CameraStatus, PluginStatus


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
