"""Tensors read and left where they are; held on the CPU, where ONNX Runtime binds memory in the same way as on CUDA."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import onnxruntime

from engines.onnx_binding import DeviceTensor, run_bound
from engines.onnx_session import tensor_specs
from tests.support.networks import write_double


def test_a_bound_run_reads_in_place_and_owns_its_output(tmp_path: Path) -> None:
    path = write_double(tmp_path / "double.onnx")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    outputs = list(tensor_specs(path, session.get_outputs()).values())
    images = np.random.default_rng(1).random((2, 3, 8, 8), np.float32)
    tensor = DeviceTensor(images.ctypes.data, images.shape, images.dtype, images)
    first = run_bound(session, {"images": tensor}, outputs, "cpu", 0)["output"]
    expected = 2 * images
    images[:] = 0
    second = run_bound(session, {"images": tensor}, outputs, "cpu", 0)["output"]
    assert first.shape == (2, 3, 8, 8)
    assert first.nbytes == images.nbytes
    assert first.address != second.address
    np.testing.assert_array_equal(read(first), expected)
    assert not read(second).any()


def read(tensor: DeviceTensor) -> np.ndarray:
    raw = ctypes.string_at(tensor.address, tensor.nbytes)
    return np.frombuffer(raw, tensor.dtype).reshape(tensor.shape)
