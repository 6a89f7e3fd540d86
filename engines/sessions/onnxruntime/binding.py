"""ONNX Runtime on device tensors: reads inputs in place and leaves outputs on the device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
import onnxruntime

from sightd.engines.session import TensorSpec


class DeviceMemory(Protocol):
    """A block of device memory, such as the buffers of `engines.cuda`."""

    @property
    def address(self) -> int: ...

    @property
    def nbytes(self) -> int: ...


class WorkStream(Protocol):
    """A queue of device work that runs in order."""

    def synchronize(self) -> None: ...


@dataclass(frozen=True, slots=True)
class BoundMemory:
    """Memory of an output. The library frees it when `value` is garbage-collected."""

    address: int
    nbytes: int
    value: object


@dataclass(frozen=True, slots=True)
class BoundTensor:
    """A contiguous output tensor on the device."""

    buffer: BoundMemory
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class BoundRun:
    """A finished run. Its outputs are valid until `release`; use it in a `with` block around the code that reads
    them."""

    def __init__(self, outputs: Mapping[str, BoundTensor]) -> None:
        self.outputs = outputs

    def release(self) -> None:
        """Frees the outputs; work that reads them must have finished. Idempotent."""
        self.outputs = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


@dataclass(frozen=True, slots=True)
class Binding:
    """Inputs and outputs of a session on the device of type `kind` ("cuda") with number `ordinal`."""

    session: onnxruntime.InferenceSession
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    kind: str
    ordinal: int

    def run(self, inputs: Mapping[str, DeviceMemory], batch: int, stream: WorkStream) -> BoundRun:
        """Runs `batch` rows, which must be contiguous and have the model's dtypes and fixed sizes.

        Waits for `stream`, which writes the inputs, and then for the run, because the library computes on its own
        stream. May be called from several threads at once. Raises ValueError if a buffer is too small.
        """
        stream.synchronize()
        binding = self.session.io_binding()
        for name, memory in inputs.items():
            spec = self.inputs[name]
            shape = [batch, *(axis or 1 for axis in spec.shape[1:])]
            needed = int(np.prod(shape, dtype=np.int64)) * spec.dtype.itemsize
            if memory.nbytes < needed:
                raise ValueError(
                    f"{name} {spec.dtype} {shape} needs {needed} bytes, but the buffer has {memory.nbytes}"
                )
            binding.bind_input(name, self.kind, self.ordinal, spec.dtype, shape, memory.address)
        for name in self.outputs:
            binding.bind_output(name, self.kind, self.ordinal)
        binding.synchronize_inputs()
        self.session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        values = zip(self.outputs.values(), binding.get_outputs(), strict=True)
        return BoundRun({spec.name: _bound(spec, value) for spec, value in values})


def with_sides(inputs: Mapping[str, TensorSpec], size: tuple[int, int] | None) -> dict[str, TensorSpec]:
    """Returns the inputs with open image sides set to `size` (width, height), because device memory does not carry a
    shape."""
    if size is None:
        return dict(inputs)
    width, height = size
    sized = {}
    for name, spec in inputs.items():
        shape = spec.shape
        if len(shape) == 4:
            shape = (*shape[:2], shape[2] or height, shape[3] or width)
        sized[name] = TensorSpec(name, shape, spec.dtype)
    return sized


def _bound(spec: TensorSpec, value: Any) -> BoundTensor:
    shape = tuple(value.shape())
    nbytes = int(np.prod(shape, dtype=np.int64)) * spec.dtype.itemsize
    return BoundTensor(BoundMemory(value.data_ptr(), nbytes, value), shape, spec.dtype)
