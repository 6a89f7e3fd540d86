"""Opens a session for a model's ONNX file. Takes the engine from the cache, or builds, verifies and stores it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from sightd.engines.cuda import driver
from sightd.engines.cuda.driver import CudaDevice
from sightd.engines.errors import EngineBuildError, EngineError, TensorRtUnavailableError
from sightd.engines.model import InputSpec, Model
from sightd.engines.models.onnx_edit import to_fp16, with_dynamic_batch
from sightd.engines.models.onnx_file import digest_with_weights, precision_of
from sightd.engines.preprocess import feed
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from sightd.engines.sessions.tensorrt import builder
from sightd.engines.sessions.tensorrt.build_process import DEADLINE, build
from sightd.engines.sessions.tensorrt.builder import BatchRange, BuildOrder, BuildProgress, Shape
from sightd.engines.sessions.tensorrt.cache import EngineCache, EngineIdentity
from sightd.engines.sessions.tensorrt.interfaces import Device
from sightd.engines.sessions.tensorrt.names import TensorRT
from sightd.engines.sessions.tensorrt.session import EXECUTION_SLOTS, TensorRTSession
from sightd.engines.sessions.tensorrt.verify import Verifier, compare, reference_inputs, reference_pictures


def open_device(which: str) -> CudaDevice:
    """Opens "cuda:0" or "auto". Raises TensorRtUnavailableError with the driver's reason if that GPU cannot be used."""
    if reason := driver.available():
        raise TensorRtUnavailableError(f"no usable GPU: {reason}")
    try:
        return driver.open_device(which)
    except EngineError as error:
        raise TensorRtUnavailableError(f"no usable GPU: {error}") from error


BuildFunction = Callable[..., None]
_THREADS = 2


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """The engine to open. `precision` is that of the file `onnx`, or "fp16" if the file is fp32.

    `verifier` is the check for the model's role (`verify.verifier_for`): it compares the engine with ONNX
    Runtime running the unchanged file `onnx`. `pictures` (BGR uint8) are the test images for both.
    """

    model: Model
    onnx: Path
    precision: str
    batch: BatchRange
    verifier: Verifier
    pictures: Sequence[NDArray[np.uint8]] = field(default_factory=reference_pictures)
    deadline: float = DEADLINE


def identity_of(request: EngineRequest, trt: TensorRT, device: Device) -> EngineIdentity:
    """Returns everything that the engine depends on. Reads the whole ONNX file."""
    major, minor = device.compute_capability
    return EngineIdentity(
        model=request.model.name,
        model_sha256=digest_with_weights(request.onnx),
        runtime=trt.title,
        gpu=device.name,
        compute_capability=f"{major}.{minor}",
        precision=request.precision,
        profile=f"{request.batch} of {request.model.input.width}x{request.model.input.height}",
        builder=builder.VERSION,
    )


def open_session(
    request: EngineRequest, trt: TensorRT, device: Device, cache: EngineCache, progress: BuildProgress,
    *, execution_slots: int = EXECUTION_SLOTS, build: BuildFunction = build,
) -> TensorRTSession:  # fmt: skip
    """Returns a session on `device`, which remains owned by the caller. The first call for an engine takes minutes.

    Raises EngineBuildError, EngineVerificationError or another EngineError if the engine cannot be built or verified.
    """
    made = partial(TensorRTSession, trt, device=device, name=request.model.name, precision=request.precision)

    def make(plan: Path) -> None:
        opened = plan.with_name(f"{request.model.name}.onnx")
        onnx.save(_prepared(request), str(opened))
        build(
            _order(request, opened, trt, device, cache),
            plan,
            progress,
            device=device.ordinal,
            deadline=request.deadline,
        )

    def verify(plan: bytes) -> Mapping[str, float]:
        progress("verifying", 0, 1)
        reference = OnnxRuntimeSession(request.onnx, _THREADS)
        candidate = made(plan, execution_slots=1)
        try:
            given, _ = feed(request.pictures, request.model.input, reference.inputs)
            inputs = reference_inputs(reference.inputs, given)
            return compare(reference, candidate, inputs, request.verifier)
        finally:
            candidate.close()
            reference.close()

    return made(cache.provide(identity_of(request, trt, device), make, verify), execution_slots=execution_slots)


def _prepared(request: EngineRequest) -> onnx.ModelProto:
    """Returns the model for TensorRT, with a dynamic batch and in the requested precision."""
    network = with_dynamic_batch(onnx.load(request.onnx))
    own = precision_of(network.graph)
    if own == request.precision:
        return network
    if request.precision != "fp16":
        raise EngineBuildError(
            f"{request.onnx.name} is {own}; TensorRT runs a model in its own precision, or an fp32 model as fp16"
        )
    return to_fp16(network)


def input_shapes(spec: InputSpec) -> dict[str, Shape]:
    """Returns the axes after the batch of each input that is filled from images."""
    shapes: dict[str, Shape] = {spec.tensor: spec.shape(1)[1:]}
    if spec.size_tensor:
        shapes[spec.size_tensor] = (2,)
    return shapes


def _order(request: EngineRequest, opened: Path, trt: TensorRT, device: Device, cache: EngineCache) -> BuildOrder:
    card = "".join(c if c.isalnum() else "-" for c in f"{trt.title} {device.name}")
    return BuildOrder(
        opened,
        trt.flavour,
        request.batch,
        sizes=input_shapes(request.model.input),
        timing_cache=cache.directory / f"{card}.timing",
    )
