"""The backends of this installation. Add a new one in `installed_backends`."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Container

from sightd.engines.cuda import driver
from sightd.engines.cuda.gpus import Gpus, RoundRobin, gpu_count, no_gpu
from sightd.engines.errors import BackendUnavailableError, EngineBuildError, EngineError
from sightd.engines.files import cache_directory
from sightd.engines.model import Model
from sightd.engines.models.onnx_file import read_precision
from sightd.engines.session import Session
from sightd.engines.sessions.backends import BackendFactory, Backends, Precision, SessionRequest
from sightd.engines.sessions.onnxruntime import cuda
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from sightd.engines.sessions.onnxruntime.cuda import OnnxCudaSession
from sightd.engines.sessions.openvino import OpenVinoSession
from sightd.engines.sessions.tensorrt import names
from sightd.engines.sessions.tensorrt.builder import BatchRange
from sightd.engines.sessions.tensorrt.cache import EngineCache
from sightd.engines.sessions.tensorrt.ensure import EngineRequest, open_session
from sightd.engines.sessions.tensorrt.verify import Verifier

BATCH = BatchRange(1, 4, 16)
"""Batch sizes that engines are built for. The number of camera frames in a batch varies up to the largest."""


class TensorRtFactory:
    """Opens sessions of TensorRT, or TensorRT for RTX, on an NVIDIA GPU. Engines are built, verified and cached on
    first use.

    `verifier_of` returns the check that compares a model's engine with ONNX Runtime. Devices come from `gpus`, which
    the kernels before and after a model use as well.
    """

    on_gpu = True

    def __init__(self, verifier_of: Callable[[Model], Verifier], gpus: Gpus) -> None:
        self._verifier_of = verifier_of
        self._gpus = gpus

    def missing(self) -> str | None:
        return no_gpu() or names.unavailable() or driver.available()

    def make(self, request: SessionRequest) -> Session:
        wanted = request.precision
        if wanted in ("bf16", "int8") and wanted != read_precision(request.path):
            raise BackendUnavailableError(f"cannot run a model as {wanted} that is not quantized; quantize it first")
        engine = EngineRequest(
            request.model,
            request.path,
            read_precision(request.path) if wanted == "auto" else wanted,
            BATCH,
            self._verifier_of(request.model),
        )
        cache = EngineCache(cache_directory(os.environ) / "engines")
        try:
            device = self._gpus.device(request.device)
        except EngineError as error:
            raise BackendUnavailableError(f"no usable GPU: {error}") from error
        try:
            return open_session(engine, names.load(), device, cache, request.progress)
        except EngineBuildError as error:
            raise BackendUnavailableError(str(error)) from error


def installed_backends(verifier_of: Callable[[Model], Verifier] | None = None, gpus: Gpus | None = None) -> Backends:
    """Returns all backends, which share one object that spreads models over the GPUs.

    Without `verifier_of`, TensorRT is left out, because no engine is used before it was compared with ONNX Runtime.
    Pass the `gpus` of the loader that uses these backends, so that no device is opened twice.
    """
    trusted: dict[str, BackendFactory] = {}
    if verifier_of is not None:
        trusted["tensorrt"] = TensorRtFactory(verifier_of, Gpus() if gpus is None else gpus)
    factories: dict[str, BackendFactory] = {
        **trusted,
        "onnxruntime-cuda": OnnxCudaFactory(),
        "openvino": OpenVinoFactory(),
        "onnxruntime": OnnxRuntimeFactory(),
    }
    return Backends(factories, RoundRobin(gpu_count(os.environ)))


class OnnxRuntimeFactory:
    """ONNX Runtime on the CPU. Runs a file in its own precision."""

    on_gpu = False

    def missing(self) -> str | None:
        return None

    def make(self, request: SessionRequest) -> Session:
        _settled_precision(request, ())
        return OnnxRuntimeSession(request.path, request.threads)


class OpenVinoFactory:
    """OpenVINO on the CPU: fp32 or int8 as in the file, or bf16 and fp16 if the processor supports them."""

    on_gpu = False

    def missing(self) -> str | None:
        if importlib.util.find_spec("openvino"):
            return None
        return "not installed (pip install 'sightd[openvino]', 180 MB)"

    def make(self, request: SessionRequest) -> Session:
        precision = _settled_precision(request, ("bf16", "fp16"))
        cores = len(os.sched_getaffinity(0))
        parallel = max(1, cores // request.threads)
        return OpenVinoSession(request.path, request.threads, parallel=parallel, precision=precision)


class OnnxCudaFactory:
    """ONNX Runtime on an NVIDIA GPU: the file's own precision, or fp32 converted to fp16."""

    on_gpu = True

    def missing(self) -> str | None:
        return no_gpu() or cuda.missing()

    def make(self, request: SessionRequest) -> Session:
        precision = _settled_precision(request, ("fp16",))
        ordinal, spec = int(request.device.removeprefix("cuda:")), request.model.input
        size = (spec.width, spec.height)
        return OnnxCudaSession(request.path, ordinal, precision=precision, size=size, nhwc=spec.nhwc)


def _settled_precision(request: SessionRequest, made: Container[Precision]) -> str:
    """Returns the precision to run in: the file's own, or the requested one if the backend can make it from an fp32
    file.

    Raises BackendUnavailableError if the requested precision is not possible.
    """
    preference, name = request.precision, request.model.name
    own = read_precision(request.path)
    if preference in ("auto", own):
        return own
    if preference == "int8":
        raise BackendUnavailableError(
            f"{name} is {own}; create {name}-int8 with `sightd models quantize {name} --calibrate SOURCE` and use "
            "that model"
        )
    if own != "fp32":
        raise BackendUnavailableError(f"{name} is {own} and cannot be converted to {preference}")
    if preference not in made:
        raise BackendUnavailableError(f"does not support {preference}")
    return preference
