"""The detector's GPU pipeline on the real TensorRTSession: replayed CUDA graphs, both kinds of pipelines, their events.

Only TensorRT is a stand-in: its engine copies the first pixels of each row to its output with the driver's own call,
like the model that the CPU path runs.
"""

from __future__ import annotations

import ctypes
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from sightd.engines.sessions.engine import Engine
from sightd.engines.sessions.tensorrt.names import Flavour
from sightd.engines.sessions.tensorrt.session import TensorRTSession
from sightd.plugins.api import Detections
from tests.plugins.detector.test_object_detector import assert_same, framed, object_detector, pictures
from tests.support import fake_tensorrt
from tests.support.device_engine import LABELS, build_with_kernels, engines, open_stand_in_gpu, pixel_network
from tests.support.fake_cuda import StandIn, on_stand_in
from tests.support.fake_cuda.control import calls

pytestmark = pytest.mark.timeout(600)
_ROWS, _COLUMNS = 42, 5 + len(LABELS)


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> StandIn:
    return build_with_kernels(tmp_path_factory.mktemp("stand_in"))


class PixelEngine(fake_tensorrt.ICudaEngine):
    def get_tensor_shape(self, name: str) -> list[int]:
        return [-1, 3, 32, 64] if name == "images" else [-1, _ROWS, _COLUMNS]

    def create_execution_context(self, strategy: Any) -> fake_tensorrt.IExecutionContext:
        return PixelContext(self)


class PixelContext(fake_tensorrt.IExecutionContext):
    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (self._shape[0], _ROWS, _COLUMNS)

    def set_device_memory(self, memory: int, size: int) -> None:
        assert memory

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        copy = ctypes.CDLL("libcuda.so.1").cuMemcpyDtoDAsync_v2
        taken, given = 4 * 3 * 32 * 64, 4 * _ROWS * _COLUMNS
        for row in range(self._shape[0]):
            to = ctypes.c_uint64(self._addresses["output"] + row * given)
            where = ctypes.c_uint64(self._addresses["images"] + row * taken)
            if copy(to, where, ctypes.c_size_t(given), ctypes.c_void_p(stream_handle)):
                return False
        return True


@on_stand_in()
def test_boxes_are_those_of_the_cpu_when_runs_are_replayed_and_threads_share_the_engine(kernels: bytes) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(fake_tensorrt, "ICudaEngine", PixelEngine)
        gpu = open_stand_in_gpu(Path(folder))
        model = pixel_network(Path(folder) / "pixels.onnx")
        plan = fake_tensorrt.plan(shape=(-1, 3, 32, 64), batch=(1, 2, 4))
        trt = fake_tensorrt.flavoured(Flavour.TENSORRT)
        session = TensorRTSession(trt, plan, gpu.device, name="pixels", precision="fp32")
        by_device = object_detector(Engine(model, session, "the only one", gpu))
        images = pictures((64, 32), (128, 64), (90, 40), (64, 32), (70, 70), (64, 32), (33, 44))
        expected = object_detector(engines(gpu, model)[1]).find(framed(images))
        assert sum(map(len, expected)) > 50
        found: list[list[Detections]] = []

        def work() -> None:
            found.extend(by_device.find(framed(images)) for _ in range(6))

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(found) == 18
        for each in found:
            assert_same(each, expected)
        assert calls("cuGraphLaunch") > 4
        np.testing.assert_array_equal(by_device.find([]), [])
        by_device.close()
        session.close()
        gpu.device.close()
