"""The TensorRT backend: which engine is needed, on which device, and whether it is available."""

from __future__ import annotations

import os
from collections.abc import Callable

from sightd.engines.backends import SessionRequest
from sightd.engines.cache import cache_directory
from sightd.engines.cuda import driver
from sightd.engines.cuda.gpus import Gpus
from sightd.engines.engine_cache import EngineCache
from sightd.engines.errors import BackendUnavailableError, EngineError
from sightd.engines.model import Model
from sightd.engines.onnx_file import read_precision
from sightd.engines.placement import no_gpu
from sightd.engines.session import Session
from sightd.engines.trt import names
from sightd.engines.trt.ensure import EngineRequest, open_session
from sightd.engines.trt.errors import EngineBuildError
from sightd.engines.trt.profile import BatchRange
from sightd.engines.trt.verify import Verifier

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
