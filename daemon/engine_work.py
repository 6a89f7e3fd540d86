"""Implements `sightd engine build` and `bench`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightd.daemon.build_progress import BuildProgressBar
from sightd.daemon.judges import judge_of
from sightd.engines.engine_cache import EngineCache
from sightd.engines.errors import EngineError
from sightd.engines.model import Model
from sightd.engines.onnx_session import OnnxRuntimeSession
from sightd.engines.session import Session
from sightd.engines.trt.names import TensorRT
from sightd.engines.trt.profile import BatchRange
from sightd.engines.trt.provide import EngineRequest, open_session
from sightd.engines.trt.reference import reference_pictures
from sightd.engines.trt.seam import Device
from sightd.engines.trt.session import TensorRTSession
from sightd.plugins.still import StillError, read_still

_SECONDS = 2.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """The model to build and how: precision, batch sizes, verification images."""

    model: Model
    onnx: Path
    precision: str
    batch: BatchRange
    pictures: Sequence[Path]


@dataclass(frozen=True, slots=True)
class Place:
    """Where engines are built and cached."""

    trt: TensorRT
    device: Device
    cache: EngineCache


def build(wish: Wish, place: Place, say: Say) -> None:
    """Builds the engine unless it is cached, and loads it. Raises EngineError if it cannot be built or fails
    verification."""
    with _session(wish, place) as session:
        say(f"{wish.model.name}: {place.trt.title} on {place.device.name}, {session.backend.precision}, ready")


def bench(wish: Wish, place: Place, say: Say) -> None:
    """Times the engine from host to host at each batch size it was built for, against ONNX Runtime on one CPU
    thread."""
    with _session(wish, place) as session:
        cpu = OnnxRuntimeSession(wish.onnx, 1)
        slow = _seconds(cpu, _zeros(cpu, wish, 1))
        cpu.close()
        say(f"{wish.model.name} on {place.device.name}: {session.backend.name}, {session.backend.precision}")
        for batch in sorted({wish.batch.least, wish.batch.usual, wish.batch.most}):
            each = _seconds(session, _zeros(session, wish, batch)) / batch
            say(
                f"  batch {batch:3}  {each * 1000.0:8.3f} ms per image  {1 / each:9.0f} images/s  "
                f"{slow / each:6.1f} × one CPU thread"
            )


@contextmanager
def _session(wish: Wish, place: Place) -> Iterator[TensorRTSession]:
    model = wish.model
    request = EngineRequest(
        model,
        wish.onnx,
        wish.precision,
        wish.batch,
        judge_of(model),
        pictures=[_picture(path) for path in wish.pictures] or reference_pictures(),
    )
    with BuildProgressBar(model.name) as progress:
        session = open_session(request, place.trt, place.device, place.cache, progress)
    try:
        yield session
    finally:
        session.close()


def _picture(path: Path) -> NDArray[np.uint8]:
    try:
        return read_still(path)
    except StillError as error:
        raise EngineError(str(error)) from error


def _zeros(session: Session, wish: Wish, batch: int) -> dict[str, NDArray[np.float32]]:
    spec = wish.model.input
    return {spec.tensor: np.zeros((batch, 3, spec.height, spec.width), np.float32)}


def _seconds(session: Session, inputs: dict[str, NDArray[np.float32]]) -> float:
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
