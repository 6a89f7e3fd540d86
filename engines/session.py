"""Interface between models and the libraries that run them: named tensors in, named tensors out, on the host or on a
GPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sightd.engines.errors import EngineError

Tensor = NDArray[Any]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, shape and dtype of a model's input or output. `None` in the shape marks a dynamic axis."""

    name: str
    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True)
class Backend:
    """What actually runs a session, as shown in the log, in `/readyz` and in the metric `sightd_engine_info`."""

    name: str
    """One of "onnxruntime-cpu", "onnxruntime-cuda", "openvino", "tensorrt", "tensorrt-rtx"."""
    device: str
    """For example "cpu" or "cuda:0"."""
    precision: str
    """One of "fp32", "fp16", "bf16", "int8"."""


class Session(Protocol):
    """A loaded model. `run` may be called from several threads at once; `close` is idempotent."""

    @property
    def backend(self) -> Backend: ...

    @property
    def inputs(self) -> Mapping[str, TensorSpec]: ...

    @property
    def outputs(self) -> Mapping[str, TensorSpec]: ...

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Runs one batch. Inputs stay owned by the caller; outputs are new arrays owned by the caller."""
        ...

    def close(self) -> None: ...


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
    """A `Session` that can also run on device memory."""

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


Specs = Mapping[str, TensorSpec]
Run = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]


def described(specs: Specs) -> str:
    """Formats names, dtypes and shapes for messages: "images float32 [None, 3, 416, 416]"."""
    return ", ".join(f"{spec.name} {spec.dtype} {list(spec.shape)}" for spec in specs.values())


def require(specs: Specs, inputs: Mapping[str, Tensor], what: str) -> None:
    """Raises EngineError unless names, dtypes and shapes match those of the model `what`."""
    if inputs.keys() == specs.keys() and all(_fits(specs[name], tensor) for name, tensor in inputs.items()):
        return
    given = ", ".join(f"{name} {tensor.dtype} {list(tensor.shape)}" for name, tensor in inputs.items())
    raise EngineError(f"{what} cannot be run on {given or 'nothing'}. It expects {described(specs)}")


def batch_is_one(specs: Specs) -> bool:
    """Returns whether a model was exported with a batch size fixed at 1."""
    return all(spec.shape and spec.shape[0] == 1 for spec in specs.values())


def by_rows(run: Run, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Runs each row of a batch separately and joins the outputs, for models whose batch size is fixed at 1."""
    rows = max((len(tensor) for tensor in inputs.values() if tensor.ndim), default=1)
    if rows == 1:
        return run(inputs)
    return joined([run({name: tensor[row : row + 1] for name, tensor in inputs.items()}) for row in range(rows)])


def joined(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Joins the outputs of several runs along their first axis. Outputs whose size depends on the images, such as boxes
    that the model suppressed itself, are filled up with zeros."""
    return {name: _joined([part[name] for part in parts]) for name in parts[0]}


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    sizes = [tensor.shape[1:] for tensor in tensors]
    if len(set(sizes)) == 1:
        return np.concatenate(tensors)
    whole = np.zeros((sum(map(len, tensors)), *np.max(sizes, axis=0)), tensors[0].dtype)
    first = 0
    for tensor in tensors:
        whole[(slice(first, first + len(tensor)), *map(slice, tensor.shape[1:]))] = tensor
        first += len(tensor)
    return whole


def zeros(specs: Specs, fed: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Returns inputs of zeros for a warm-up run. `fed` gives the known shapes; open axes of other inputs become 1."""
    return {
        spec.name: np.zeros(fed.get(spec.name) or [axis or 1 for axis in spec.shape], spec.dtype)
        for spec in specs.values()
    }


def _fits(spec: TensorSpec, tensor: Tensor) -> bool:
    return (
        tensor.dtype == spec.dtype
        and tensor.ndim == len(spec.shape)
        and all(axis in (None, length) for axis, length in zip(spec.shape, tensor.shape, strict=True))
    )
