"""Faults of a camera, and how the daemon reports them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support.camera import CameraSimulator
from tests.support.fault_proxy import FaultProxy, garbage, replacing, shifted
from tests.support.name_server import NameServer


@dataclass(slots=True)
class Patient:
    """A camera, the proxy in front of it, and the resolver that knows its name."""

    camera: CameraSimulator
    proxy: FaultProxy
    names: NameServer


def _proxy(begin: Callable[[FaultProxy], None]) -> Callable[[Patient], None]:
    return lambda patient: begin(patient.proxy)


def _heal_proxy(patient: Patient) -> None:
    patient.proxy.heal()


@dataclass(frozen=True, slots=True)
class Fault:
    """`begin` and `heal` return soon. `reasons` are the ones that may be counted; if empty, frames keep coming.
    `lasting`: no frame comes in between, so the slate must be shown."""

    name: str
    begin: Callable[[Patient], None]
    heal: Callable[[Patient], None] = _heal_proxy
    reasons: frozenset[str] = field(default_factory=frozenset)
    lasting: bool = True


def _of(*reasons: str) -> frozenset[str]:
    return frozenset(reasons)


def _restart(patient: Patient) -> None:
    patient.camera.start()


FAULTS = (
    Fault("refused", _proxy(FaultProxy.refuse), reasons=_of("refused", "eof", "other", "timeout")),
    Fault("black hole", _proxy(FaultProxy.swallow), reasons=_of("timeout")),
    Fault("reset in a packet", _proxy(FaultProxy.reset), reasons=_of("eof", "other", "refused", "timeout")),
    Fault("half-open", _proxy(FaultProxy.vanish), reasons=_of("timeout", "refused")),
    Fault("a byte a second", _proxy(FaultProxy.trickle), reasons=_of("timeout")),
    Fault("frozen", lambda patient: patient.camera.freeze(), lambda patient: patient.camera.thaw(), _of("timeout")),
    Fault("killed", lambda patient: patient.camera.kill(), _restart, _of("eof", "refused", "other", "timeout")),
    Fault(
        "credentials rejected",
        lambda patient: _reconnecting(patient, replacing(b"RTSP/1.0 200 OK", b"RTSP/1.0 401 No")),
        reasons=_of("unauthorised", "refused", "eof", "other"),
    ),
    Fault(
        "wrong codec",
        lambda patient: _reconnecting(patient, replacing(b"H264/90000", b"H265/90000")),
        reasons=_of("decode", "no_video", "timeout", "refused", "eof", "other"),
    ),
    Fault(
        "name not resolved",
        lambda patient: _forgotten(patient),
        lambda patient: patient.names.remember(),
        _of("name_not_resolved", "refused", "eof", "other"),
    ),
    Fault(
        "ends again and again",
        _proxy(FaultProxy.end_again_and_again),
        reasons=_of("eof", "timeout", "other", "refused"),
        lasting=False,
    ),
    Fault("another size", lambda patient: _resized(patient, (480, 272)), lambda patient: _resized(patient, None)),
    Fault("garbage in packets", lambda patient: patient.proxy.change(garbage)),
    Fault("times an hour back", lambda patient: patient.proxy.change(shifted(-3600))),
    Fault("times an hour ahead", lambda patient: patient.proxy.change(shifted(3600))),
)


def _forgotten(patient: Patient) -> None:
    """The name is resolved for each new connection, so the existing one is reset."""
    patient.names.forget()
    patient.proxy.refuse()
    patient.proxy.heal()


def _resized(patient: Patient, size: tuple[int, int] | None) -> None:
    """Restarts the camera with another frame size, as after a change of its settings."""
    patient.camera.kill()
    patient.camera.start(size=size)


def _reconnecting(patient: Patient, change: Callable[[bytes], bytes]) -> None:
    """Applies a change that only affects the responses to a new connection, so the existing one is reset first."""
    patient.proxy.refuse()
    patient.proxy.heal()
    patient.proxy.change(change)
