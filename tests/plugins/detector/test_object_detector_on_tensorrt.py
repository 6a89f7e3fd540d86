"""The detector's GPU pipeline on the real TensorRTSession: replayed CUDA graphs, both kinds of pipelines, their events.

Only TensorRT is a stand-in: its engine copies the first pixels of each row to its output with the driver's own call,
like the model that the CPU path runs.
"""

from __future__ import annotations

import ctypes
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np
import pytest

from sightd.engines.model import ColourOrder, InputSpec, Model, Resize
from sightd.engines.sessions.engine import Engine
from sightd.engines.sessions.tensorrt.names import Flavour
from sightd.engines.sessions.tensorrt.session import TensorRTSession
from sightd.plugins.api import Detections
from sightd.plugins.detector.config import DetectorConfig
from sightd.plugins.detector.heads.registry import head_of
from sightd.plugins.detector.plugin import object_detector_for
from sightd.plugins.detector.selection import Selection
from tests.plugins.detector.test_object_detector import assert_same, framed, object_detector, pictures
from tests.support import fake_tensorrt
from tests.support.device_engine import LABELS, engines, open_stand_in_gpu, pixel_network
from tests.support.fake_cuda import on_stand_in
from tests.support.fake_cuda.control import calls

pytestmark = pytest.mark.timeout(600)
_ROWS, _COLUMNS = 42, 5 + len(LABELS)


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


class TwoInputEngine(fake_tensorrt.ICudaEngine):
    """Copies its outputs from its inputs: two boxes and their scores from the first pixels, and two labels from the
    second input."""

    SHAPES: ClassVar = {
        "images": [-1, 3, 32, 64],
        "sizes": [-1, 2],
        "boxes": [-1, 2, 4],
        "scores": [-1, 2],
        "labels": [-1, 2],
    }

    def __init__(self, told: dict[str, Any]) -> None:
        super().__init__(told)
        self._names = list(self.SHAPES)
        self.num_io_tensors = len(self._names)

    def get_tensor_mode(self, name: str) -> fake_tensorrt.TensorIOMode:
        modes = fake_tensorrt.TensorIOMode
        return modes.INPUT if name in ("images", "sizes") else modes.OUTPUT

    def get_tensor_dtype(self, name: str) -> str:
        return "int64" if name in ("sizes", "labels") else "float32"

    def get_tensor_shape(self, name: str) -> list[int]:
        return self.SHAPES[name]

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[list[int]]:
        return [[rows, *self.SHAPES[name][1:]] for rows in self._told["batch"]]

    def create_execution_context(self, strategy: Any) -> fake_tensorrt.IExecutionContext:
        return TwoInputContext(self)


class TwoInputContext(PixelContext):
    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (self._shape[0], *TwoInputEngine.SHAPES[name][1:])

    def execute_async_v3(self, stream_handle: int) -> bool:
        copy = ctypes.CDLL("libcuda.so.1").cuMemcpyDtoDAsync_v2
        parts = ("boxes", 32, "images", 4 * 3 * 32 * 64, 0), ("scores", 8, "images", 4 * 3 * 32 * 64, 32)
        for row in range(self._shape[0]):
            for given, nbytes, taken, length, start in (*parts, ("labels", 16, "sizes", 16, 0)):
                to = ctypes.c_uint64(self._addresses[given] + row * nbytes)
                where = ctypes.c_uint64(self._addresses[taken] + row * length + start)
                if copy(to, where, ctypes.c_size_t(nbytes), ctypes.c_void_p(stream_handle)):
                    return False
        return True


@on_stand_in()
def test_a_second_input_and_labels_are_int64_and_runs_are_replayed(kernels: bytes) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(fake_tensorrt, "ICudaEngine", TwoInputEngine)
        gpu = open_stand_in_gpu(Path(folder))
        spec = InputSpec("images", 64, 32, ColourOrder.BGR, Resize.STRETCH, 1 / 255, size_tensor="sizes")
        model = Model("two", "detector", "detr-labelled", "none", spec, tuple(f"class {i}" for i in range(65)))
        plan = fake_tensorrt.plan(shape=(-1, 3, 32, 64), batch=(1, 2, 4))
        session = TensorRTSession(
            fake_tensorrt.flavoured(Flavour.TENSORRT), plan, gpu.device, name="two", precision="fp32"
        )
        engine = Engine(model, session, "the only one", gpu)
        selection = Selection(DetectorConfig(min_score=0.0, min_size=0.0), model.labels, suppressed=True)
        by_device = object_detector_for(engine, head_of(model), selection)
        image = np.zeros((32, 64, 3), np.uint8)
        image.reshape(-1, 3)[:10, 0] = [0, 0, 255, 255, 0, 0, 128, 255, 255, 51]
        for _ in range(6):
            for found in by_device.find(framed([image] * 3)):
                np.testing.assert_array_equal(found.class_ids, [64, 32])
                np.testing.assert_allclose(found.scores, [1.0, 0.2], rtol=1e-6)
                np.testing.assert_allclose(found.boxes, np.array([[0, 0, 1, 1], [0, 0, 128 / 255, 1]]), rtol=1e-6)
        assert calls("cuGraphLaunch") > 2
        outputs, _ = engine.run([image])
        np.testing.assert_array_equal(outputs["labels"], [[64, 32]])
        assert outputs["labels"].dtype == np.int64
        by_device.close()
        session.close()
        gpu.device.close()


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
