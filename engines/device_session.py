"""Interfaces of sessions that can keep inputs and outputs on the GPU: TensorRT, and ONNX Runtime with CUDA."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable

import numpy as np

from sightd.engines.session import Backend, Tensor, TensorSpec


class Memory(Protocol):
    @property
    def address(self) -> int: ...


class DeviceOutput(Protocol):
    """A contiguous output tensor in device memory."""

    @property
    def buffer(self) -> Memory: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...


class DeviceRun(Protocol):
    """A run whose outputs may be read by work on its stream until the run is released."""

    @property
    def outputs(self) -> Mapping[str, DeviceOutput]: ...


@runtime_checkable
class DeviceSession(Protocol):
    """An `engines.session.Session` that can also run on device memory."""

    @property
    def backend(self) -> Backend: ...
    @property
    def inputs(self) -> Mapping[str, TensorSpec]: ...
    @property
    def largest_batch(self) -> int:
        """Maximum number of rows per `run_device` call."""
        ...

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]: ...
    def run_device(self, inputs: Mapping[str, Any], batch: int, stream: Any) -> AbstractContextManager[DeviceRun]:
        """Runs the model after the work already queued on `stream`.

        Each of `inputs` is device memory with `batch` contiguous rows; it must stay valid until the stream has passed
        the run. May be called from several threads at once, each with its own stream.
        """
        ...
