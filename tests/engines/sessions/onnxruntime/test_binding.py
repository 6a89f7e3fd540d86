"""Tensors are read and written in place. Tested on the CPU, where ONNX Runtime binds memory in the same way as on
CUDA."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from sightd.engines.sessions.onnxruntime.cpu import tensor_specs
from sightd.engines.sessions.onnxruntime.cuda import Binding, BoundTensor
from tests.support.networks import write_double


@dataclass
class Memory:
    """A NumPy array as a device's memory."""

    array: NDArray[np.float32]

    @property
    def address(self) -> int:
        return int(self.array.ctypes.data)

    @property
    def nbytes(self) -> int:
        return self.array.nbytes


class Writer:
    """A stream on which an image is still being written when a run starts."""

    def __init__(self, memory: Memory, value: float) -> None:
        self._memory, self._value = memory, value

    def synchronize(self) -> None:
        self._memory.array[:] = self._value


@pytest.fixture
def binding(tmp_path: Path) -> Binding:
    path = write_double(tmp_path / "double.onnx")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    inputs, outputs = tensor_specs(path, session.get_inputs()), tensor_specs(path, session.get_outputs())
    return Binding(session, inputs, outputs, "cpu", 0)


def read(tensor: BoundTensor) -> NDArray[np.float32]:
    raw = ctypes.string_at(tensor.buffer.address, tensor.buffer.nbytes)
    return np.frombuffer(raw, tensor.dtype).reshape(tensor.shape)


def test_a_run_waits_for_its_input_reads_it_in_place_and_owns_its_output(binding: Binding) -> None:
    memory = Memory(np.zeros((2, 3, 8, 8), np.float32))
    first = binding.run({"images": memory}, 2, Writer(memory, 3))
    with first, binding.run({"images": memory}, 2, Writer(memory, 5)) as second:
        assert first.outputs["output"].shape == (2, 3, 8, 8)
        assert (read(first.outputs["output"]) == 6).all()
        assert (read(second.outputs["output"]) == 10).all()
    assert first.outputs == {}


def test_a_batch_may_be_smaller_than_its_buffer_but_not_larger(binding: Binding) -> None:
    memory = Memory(np.zeros((2, 3, 8, 8), np.float32))
    assert binding.run({"images": memory}, 1, Writer(memory, 1)).outputs["output"].shape == (1, 3, 8, 8)
    with pytest.raises(ValueError, match=r"images float32 \[3, 3, 8, 8\] needs 2304 bytes, but the buffer has 1536"):
        binding.run({"images": memory}, 3, Writer(memory, 1))
