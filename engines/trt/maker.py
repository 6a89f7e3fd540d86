"""TensorRT as a backend: which engine is wanted, where, and whether it can be had."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from engines.backends import SessionRequest
from engines.cache import cache_directory
from engines.cuda import driver
from engines.cuda.driver import Device
from engines.engine_cache import EngineCache
from engines.errors import BackendUnavailableError
from engines.model import Model
from engines.onnx_file import read_precision
from engines.placement import no_gpu
from engines.session import Session
from engines.trt import names
from engines.trt.cuda import open_device
from engines.trt.errors import EngineBuildError, TensorRtUnavailableError
from engines.trt.profile import BatchRange
from engines.trt.provide import EngineRequest, open_session
from engines.trt.verify import Judge

BATCH = BatchRange(1, 4, 16)
"""Batches an engine is built for: cameras' frames come together in any number up to the largest."""


class TensorRtMaker:
    """Engines of TensorRT, or of TensorRT for RTX, on an NVIDIA GPU; built, verified and cached at first use.

    `judge_of` gives what a model's engine is held against ONNX Runtime with. Devices stay open with the process.
    """

    on_gpu = True

    def __init__(self, judge_of: Callable[[Model], Judge]) -> None:
        self._judge_of = judge_of
        self._lock = threading.Lock()
        self._devices: dict[str, Device] = {}

    def missing(self) -> str | None:
        return no_gpu() or names.unavailable() or driver.available()

    def make(self, request: SessionRequest) -> Session:
        wanted = request.precision
        if wanted in ("bf16", "int8") and wanted != read_precision(request.path):
            raise BackendUnavailableError(f"makes no {wanted} of a network that is not; quantise it first")
        engine = EngineRequest(
            request.model,
            request.path,
            read_precision(request.path) if wanted == "auto" else wanted,
            BATCH,
            self._judge_of(request.model),
        )
        cache = EngineCache(cache_directory(os.environ) / "engines")
        try:
            return open_session(engine, names.load(), self._device(request.device), cache, request.progress)
        except EngineBuildError as error:
            raise BackendUnavailableError(str(error)) from error

    def _device(self, which: str) -> Device:
        with self._lock:
            if which not in self._devices:
                try:
                    self._devices[which] = open_device(which)
                except TensorRtUnavailableError as error:
                    raise BackendUnavailableError(str(error)) from error
            return self._devices[which]
