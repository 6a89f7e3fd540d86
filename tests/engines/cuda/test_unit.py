"""unit.cu divides each row by its Euclidean norm."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sightd.engines.cuda.launch.faces import to_unit
from sightd.engines.cuda.launch.heads import DeviceTensor
from tests.support.host_kernels.device import HostDevice, HostStream


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("columns", [1, 100, 128, 512])
def test_rows_become_of_length_1(dtype: type, columns: int) -> None:
    device = HostDevice()
    rows: NDArray[np.floating] = np.random.default_rng(columns).normal(0, 3, (5, columns)).astype(dtype)
    rows[3] = 0
    into = device.allocate(4 * 4 * columns)
    to_unit(device, DeviceTensor(device.uploaded(rows).address, rows.shape, rows.dtype), 4, into, HostStream())
    host = np.empty((4, columns), np.float32)
    into.download(host, HostStream())
    exact = rows[:3].astype(np.float64)
    np.testing.assert_allclose(host[:3], exact / np.linalg.norm(exact, axis=1, keepdims=True), rtol=2e-6, atol=1e-7)
    assert not host[3].any()


def test_a_buffer_that_is_too_small_is_refused() -> None:
    device = HostDevice()
    tensor = DeviceTensor(device.uploaded(np.ones((2, 8), np.float32)).address, (2, 8), np.dtype(np.float32))
    with pytest.raises(ValueError, match="2 rows of 8 numbers require 64 bytes, not 63"):
        to_unit(device, tensor, 2, device.allocate(63), HostStream())
