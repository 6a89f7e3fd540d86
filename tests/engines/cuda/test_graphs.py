"""CUDA graphs, with real PyCUDA and cuda.bindings on the stand-in."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from sightd.engines.cuda.driver import open_device
from sightd.engines.cuda.errors import (
    CudaClosedError,
    CudaError,
)
from tests.support.fake_cuda import on_stand_in
from tests.support.fake_cuda.control import alive

pytestmark = pytest.mark.timeout(600)

ONE = (1, 1, 1)


@on_stand_in()
def test_a_graph_does_its_work_at_each_launch_and_not_before(kernels: bytes) -> None:
    with open_device(0) as device:
        stream, buffer, result = device.stream(), device.allocate(4), device.pinned((1,), np.int32)
        buffer.fill(0, stream)
        increment = device.module(kernels).function("increment")
        result.array[0] = -1
        with stream.capture() as capture:
            increment.launch(ONE, ONE, buffer, stream=stream)
            buffer.download(result.array, stream)
        assert result.array[0] == -1
        assert device.transfers.copies == 0
        for _ in range(3):
            capture.graph.launch(stream)
        stream.synchronize()
        assert result.array[0] == 3
        assert device.transfers.copies == 3
        capture.graph.close()
        with pytest.raises(CudaClosedError):
            capture.graph.launch(stream)


@on_stand_in()
def test_what_cannot_be_captured_gives_an_error_and_no_graph(kernels: bytes) -> None:
    with open_device(0) as device:
        stream, kept = device.stream(), device.allocate(100)
        with pytest.raises(CudaError, match="allocating device memory"), stream.capture() as capture:
            device.allocate(1 << 20)
        with pytest.raises(CudaError, match="ended without an error"):
            _ = capture.graph
        with (
            pytest.raises(CudaError, match="do not allocate or free memory"),
            stream.capture(),
            pytest.raises(CudaError),
        ):
            stream.synchronize()
        with pytest.raises(ZeroDivisionError), stream.capture():
            _ = 1 / 0
        with stream.capture() as capture:
            kept.fill(1, stream)
        capture.graph.launch(stream)


@on_stand_in()
def test_what_is_forgotten_during_a_capture_does_not_break_it(kernels: bytes) -> None:
    with open_device(0) as device:
        stream, kept, host = device.stream(), device.allocate(4), np.zeros(4, np.uint8)
        forgotten = [device.allocate(1 << 20)]
        with stream.capture() as capture:
            forgotten.clear()
            gc.collect()
            kept.fill(1, stream)
            stream.record()
            assert alive()["device memory"] == 2, "a capture refuses to free memory"
        capture.graph.launch(stream)
        kept.download(host, stream)
        stream.synchronize()
        assert host.tolist() == [1] * 4


@on_stand_in()
def test_a_capture_within_a_capture_is_refused(kernels: bytes) -> None:
    with open_device(0) as device:
        stream, other = device.stream(), device.stream()
        with stream.capture(), pytest.raises(RuntimeError, match="already"), other.capture():
            pass
