"""Implements `sightd engine build` and `bench`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightd.daemon.common.progress import BuildProgressBar
from sightd.daemon.pipeline.model_loading import verifier_of
from sightd.engines.errors import EngineError
from sightd.engines.model import Model
from sightd.engines.preprocess import feed
from sightd.engines.session import Session, Tensor
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from sightd.engines.sessions.tensorrt.builder import BatchRange
from sightd.engines.sessions.tensorrt.cache import EngineCache
from sightd.engines.sessions.tensorrt.ensure import EngineRequest, open_session
from sightd.engines.sessions.tensorrt.interfaces import Device
from sightd.engines.sessions.tensorrt.names import TensorRT
from sightd.engines.sessions.tensorrt.session import TensorRTSession
from sightd.engines.sessions.tensorrt.verify import reference_pictures
from sightd.plugins.images.still import StillError, read_still

_SECONDS = 2.0

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """The model to build and how: precision, batch sizes, verification images."""

    model: Model
    onnx: Path
    precision: str
    batch: BatchRange
    pictures: Sequence[Path]


@dataclass(frozen=True, slots=True)
class BuildTarget:
    """Where engines are built and cached."""

    trt: TensorRT
    device: Device
    cache: EngineCache


def build(build_request: BuildRequest, target: BuildTarget, report: Report) -> None:
    """Builds the engine unless it is cached, and loads it. Raises EngineError if it cannot be built or fails
    verification."""
    with _session(build_request, target) as session:
        report(
            f"{build_request.model.name}: {target.trt.title} on {target.device.name}, "
            f"{session.backend.precision}, ready"
        )


def bench(build_request: BuildRequest, target: BuildTarget, report: Report) -> None:
    """Times the engine from host to host at each batch size it was built for, against ONNX Runtime on one CPU
    thread."""
    with _session(build_request, target) as session:
        cpu = OnnxRuntimeSession(build_request.onnx, 1)
        slow = _seconds(cpu, _zeros(cpu, build_request, 1))
        cpu.close()
        report(
            f"{build_request.model.name} on {target.device.name}: {session.backend.name}, {session.backend.precision}"
        )
        for batch in sorted({build_request.batch.least, build_request.batch.usual, build_request.batch.most}):
            each = _seconds(session, _zeros(session, build_request, batch)) / batch
            report(
                f"  batch {batch:3}  {each * 1000.0:8.3f} ms per image  {1 / each:9.0f} images/s  "
                f"{slow / each:6.1f} × one CPU thread"
            )


@contextmanager
def _session(build_request: BuildRequest, target: BuildTarget) -> Iterator[TensorRTSession]:
    model = build_request.model
    request = EngineRequest(
        model,
        build_request.onnx,
        build_request.precision,
        build_request.batch,
        verifier_of(model),
        pictures=[_picture(path) for path in build_request.pictures] or reference_pictures(),
    )
    with BuildProgressBar(model.name) as progress:
        session = open_session(request, target.trt, target.device, target.cache, progress)
    try:
        yield session
    finally:
        session.close()


def _picture(path: Path) -> NDArray[np.uint8]:
    try:
        return read_still(path)
    except StillError as error:
        raise EngineError(str(error)) from error


def _zeros(session: Session, build_request: BuildRequest, batch: int) -> dict[str, Tensor]:
    spec = build_request.model.input
    return feed([np.zeros((spec.height, spec.width, 3), np.uint8)] * batch, spec, session.inputs)[0]


def _seconds(session: Session, inputs: dict[str, Tensor]) -> float:
    """Median time of a run in seconds, after five warm-up runs."""
    for _ in range(5):
        session.run(inputs)
    times: list[float] = []
    until = time.perf_counter() + _SECONDS
    while time.perf_counter() < until:
        start = time.perf_counter()
        session.run(inputs)
        times.append(time.perf_counter() - start)
    return float(np.median(times))
