"""ONNX Runtime on tensors that stay where they are: inputs read in place, outputs left on the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime

from engines.session import TensorSpec


@dataclass(frozen=True, slots=True)
class DeviceTensor:
    """A contiguous tensor in a device's memory. `owner` keeps the memory: whoever holds this object may read it."""

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    owner: object

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize


def run_bound(
    session: onnxruntime.InferenceSession,
    inputs: Mapping[str, DeviceTensor],
    outputs: Sequence[TensorSpec],
    kind: str,
    ordinal: int,
) -> dict[str, DeviceTensor]:
    """One run on memory of device `kind` ("cuda") number `ordinal`; its own results are made there by the library.

    Inputs must be written before the call, and outputs are when it returns: both sides are synchronised. The binding
    is this call's own, so that several threads may be in here with one session.
    """
    binding = session.io_binding()
    for name, tensor in inputs.items():
        binding.bind_input(name, kind, ordinal, tensor.dtype, list(tensor.shape), tensor.address)
    for spec in outputs:
        binding.bind_output(spec.name, kind, ordinal)
    binding.synchronize_inputs()
    session.run_with_iobinding(binding)
    binding.synchronize_outputs()
    return {
        spec.name: DeviceTensor(value.data_ptr(), tuple(value.shape()), spec.dtype, value)
        for spec, value in zip(outputs, binding.get_outputs(), strict=True)
    }
