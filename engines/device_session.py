"""Sessions whose inputs and outputs may stay on the GPU; TensorRT's and ONNX Runtime's with CUDA are such."""

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
    """A contiguous output on the device."""

    @property
    def buffer(self) -> Memory: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...


class DeviceRun(Protocol):
    """A run whose outputs work on its stream may read until it is released."""

    @property
    def outputs(self) -> Mapping[str, DeviceOutput]: ...


@runtime_checkable
class DeviceSession(Protocol):
    """An `engines.session.Session` that can do more."""

    @property
    def backend(self) -> Backend: ...
    @property
    def inputs(self) -> Mapping[str, TensorSpec]: ...
    @property
    def largest_batch(self) -> int:
        """Rows that one `run_device` takes."""
        ...

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]: ...
    def run_device(self, inputs: Mapping[str, Any], batch: int, stream: Any) -> AbstractContextManager[DeviceRun]:
        """One run after what `stream` was given. `inputs` are device memory of `batch` contiguous rows each, and stay
        until the stream has come past the run. From several threads at once, each with a stream of its own."""
        ...
