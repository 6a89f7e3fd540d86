"""TensorRTSession on the real CUDA driver module: real PyCUDA, real graphs, a stand-in for libcuda below them.

Only TensorRT itself is a stand-in here: its engine copies its input to its output, with libcuda's own call.
"""

from __future__ import annotations

import ctypes
import importlib
from math import prod
from typing import Any

import numpy as np
import pytest

from sightd.engines.sessions.tensorrt.names import Flavour
from sightd.engines.sessions.tensorrt.session import TensorRTSession
from tests.support import fake_tensorrt
from tests.support.fake_cuda import on_stand_in

pytestmark = pytest.mark.timeout(600)


class CopyingContext(fake_tensorrt.IExecutionContext):
    """Returns its input, on the given stream."""

    def set_device_memory(self, memory: int, size: int) -> None:
        assert memory

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        where, to = (ctypes.c_uint64(self._addresses[name]) for name in ("images", "output"))
        size = ctypes.c_size_t(prod(self._shape) * 4)
        copy = ctypes.CDLL("libcuda.so.1").cuMemcpyDtoDAsync_v2
        return bool(copy(to, where, size, ctypes.c_void_p(stream_handle)) == 0)


def opened(device: Any, execution_slots: int = 2) -> TensorRTSession:
    engine: Any = fake_tensorrt.ICudaEngine
    engine.create_execution_context = lambda engine, strategy: CopyingContext(engine)
    trt = fake_tensorrt.flavoured(Flavour.TENSORRT)
    return TensorRTSession(
        trt, fake_tensorrt.plan(), device, name="net", precision="fp32", execution_slots=execution_slots
    )


def numbers(rows: int, turn: int) -> Any:
    return (np.arange(rows * 6, dtype=np.float32) + turn).reshape(rows, 2, 3)


@on_stand_in()
def test_from_host_to_host(kernels: bytes) -> None:
    """Batches from the host come back, first by plain launches and later by graph, and closing leaves nothing alive."""
    with importlib.import_module("sightd.engines.cuda.driver").open_device("cuda:0") as device:
        session = opened(device)
        for turn in range(6):
            for rows in (1, 4, 9):
                fed = numbers(rows, turn)
                np.testing.assert_array_equal(session.run({"images": fed})["output"], fed)
        assert device.transfers.bytes_to_device == device.transfers.bytes_to_host == 6 * 14 * 24
        session.close()


@on_stand_in()
def test_on_the_device(kernels: bytes) -> None:
    """Frames on the device run on the caller's stream, and the session copies nothing to or from the host."""
    with importlib.import_module("sightd.engines.cuda.driver").open_device("cuda:0") as device:
        session = opened(device, execution_slots=1)
        stream, buffer = device.stream(), device.allocate(96)
        for turn in range(5):
            fed, found = numbers(4, turn), np.empty((4, 2, 3), np.float32)
            buffer.upload(fed, stream)
            before = device.transfers.copies
            with session.run_device({"images": buffer}, 4, stream) as run:
                assert device.transfers.copies == before
                run.outputs["output"].buffer.download(found, stream)
            stream.synchronize()
            np.testing.assert_array_equal(found, fed)
        session.close()
        buffer.free()
        stream.close()


@on_stand_in()
def test_without_memory(kernels: bytes) -> None:
    """A session that runs out of memory leaves nothing behind."""
    driver: Any = importlib.import_module("sightd.engines.cuda.driver")
    errors: Any = importlib.import_module("sightd.engines.cuda.errors")
    with driver.open_device("cuda:0") as device:
        taken = device.allocate(device.memory_free - 2048)
        with pytest.raises(errors.CudaOutOfMemoryError):
            opened(device)
        taken.free()
        opened(device).close()
