"""Models of other families find the same on the GPU as on the CPU: a second input, int64 labels, inputs of bytes with
colours last, half precision. Real PyCUDA on the stand-in driver, ONNX Runtime in device memory."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from sightd.engines.cuda.driver import CudaDevice
from sightd.engines.cuda.launch.heads import HeadMismatchError
from sightd.engines.heads import suppresses
from sightd.engines.model import Model
from sightd.engines.models.catalog import Catalog
from sightd.engines.sessions.engine import Engine
from sightd.engines.sessions.tensorrt.verify import reference_pictures
from sightd.plugins.api import Detections, Frame, PluginError
from sightd.plugins.detector.config import DetectorConfig
from sightd.plugins.detector.heads.registry import head_of
from sightd.plugins.detector.plugin import DeviceObjectDetector, ObjectDetector, WantedShapes, object_detector_for
from sightd.plugins.detector.selection import Selection
from tests.plugins.detector.test_object_detector import framed, pictures
from tests.support.device_engine import DeviceOnnxSession, engines, open_stand_in_gpu
from tests.support.fake_cuda import on_stand_in
from tests.support.fake_cuda.control import alive
from tests.support.head_networks import (
    HEIGHT,
    WIDTH,
    bytes_with_colours_last,
    halves,
    oriented,
    points,
    prototypes,
    query_masks,
    two_inputs,
)
from tests.support.networks import stored

pytestmark = pytest.mark.timeout(600)
SIZES = (WIDTH, HEIGHT), (128, 64), (200, 151), (30, 90), (65, 33)


DEIM = ("deimv2-femto", "deimv2-atto")


@pytest.fixture
def _deim() -> None:
    """Skips here, and not in the test's own process, if the models are not available."""
    for name in DEIM:
        stored(name)


def object_detector(engine: Engine, least: float = 0.3) -> ObjectDetector:
    selection = Selection(
        DetectorConfig(min_score=least), engine.model.labels, suppressed=suppresses(engine.model.head)
    )
    return object_detector_for(engine, head_of(engine.model), selection)


def assert_same_boxes(write: Callable[[Path], Model]) -> None:
    with TemporaryDirectory() as folder:
        gpu = open_stand_in_gpu(Path(folder))
        on_device, on_cpu = engines(gpu, write(Path(folder) / "made.onnx"), largest_batch=3)
        by_device, by_host = object_detector(on_device), object_detector(on_cpu)
        assert isinstance(by_device, DeviceObjectDetector)
        images = framed(pictures(*SIZES))
        for _ in range(2):
            for one, other in zip(by_device.find(images), by_host.find(images), strict=True):
                assert len(other) > 5
                compare(one, other)
        assert isinstance(on_device.session, DeviceOnnxSession)
        assert on_device.session.runs == [3, 2] * 2
        by_device.close()
        gpu.device.close()
        assert not alive()


def compare(one: Detections, other: Detections) -> None:
    np.testing.assert_array_equal(one.class_ids, other.class_ids)
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)
    np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-3)


@on_stand_in()
def test_a_second_input_has_the_models_own_size_and_labels_are_integers(kernels: bytes) -> None:
    assert_same_boxes(two_inputs)


@on_stand_in()
def test_an_input_of_bytes_with_colours_last_is_filled_with_pixels(kernels: bytes) -> None:
    assert_same_boxes(bytes_with_colours_last)


@on_stand_in()
def test_a_model_whose_input_and_output_are_half_precision(kernels: bytes) -> None:
    assert_same_boxes(halves)


class OutputsOnDevice(DeviceOnnxSession):
    """Outputs are in memory of the device, as those of a GPU are, so that they can be copied from there."""

    def __init__(self, path: Path, largest_batch: int, device: CudaDevice) -> None:
        super().__init__(path, largest_batch)
        self._device = device

    @contextmanager
    def run_device(self, inputs: Mapping[str, Any], batch: int, stream: Any) -> Iterator[Any]:  # type: ignore[override]
        with super().run_device(inputs, batch, stream) as run, ExitStack() as memory:
            copies = {}
            for name, output in run.outputs.items():
                nbytes = int(np.prod(output.shape)) * output.dtype.itemsize
                here = self._device.pinned((nbytes,), np.uint8)
                there = self._device.allocate(nbytes)
                memory.callback(here.free)
                memory.callback(there.free)
                ctypes.memmove(here.array.ctypes.data, output.buffer.address, nbytes)
                there.upload(here.array, stream)
                copies[name] = SimpleNamespace(buffer=there, shape=output.shape, dtype=output.dtype)
            yield SimpleNamespace(outputs=copies)
            stream.synchronize()


def assert_same_shapes(write: Callable[[Path], Model]) -> None:
    with TemporaryDirectory() as folder:
        gpu = open_stand_in_gpu(Path(folder))
        model = write(Path(folder) / "made.onnx")
        assert model.path is not None
        _, on_cpu = engines(gpu, model)
        on_device = Engine(model, OutputsOnDevice(model.path, 3, gpu.device), "the only one", gpu)
        wanted = WantedShapes(masks=True, keypoints=True)
        selection = Selection(DetectorConfig(min_score=0.3), on_cpu.model.labels)
        by_device, by_host = (
            object_detector_for(engine, head_of(engine.model), selection, wanted) for engine in (on_device, on_cpu)
        )
        assert isinstance(by_device, DeviceObjectDetector)
        nothing = [Frame.of(np.zeros((HEIGHT, WIDTH, 3), np.uint8))]
        for images in (framed(pictures(*SIZES)), nothing):
            for one, other in zip(by_device.shaped(images), by_host.shaped(images), strict=True):
                compare(one.detections, other.detections)
                assert (len(other) > 5) is (images is not nothing)
                assert (one.masks is None) is (other.masks is None)
                assert (one.keypoints is None) is (other.keypoints is None) is (other.masks is not None)
                if one.masks is not None and other.masks is not None:
                    for row in range(len(other)):
                        assert np.mean(one.masks.crops[row] != other.masks.crops[row]) < 0.02
                        assert one.masks.has(row)
                if one.keypoints is not None and other.keypoints is not None:
                    np.testing.assert_allclose(one.keypoints.points, other.keypoints.points, atol=1e-3)
                    np.testing.assert_allclose(one.keypoints.scores, other.keypoints.scores, atol=1e-5)
        by_device.close()
        gpu.device.close()
        assert not alive()


@on_stand_in()
def test_masks_of_prototypes_are_those_of_the_cpu(kernels: bytes) -> None:
    assert_same_shapes(prototypes)


@on_stand_in()
def test_masks_of_queries_are_those_of_the_cpu(kernels: bytes) -> None:
    assert_same_shapes(query_masks)


@on_stand_in()
def test_keypoints_are_those_of_the_cpu(kernels: bytes) -> None:
    assert_same_shapes(points)


@on_stand_in()
def test_oriented_boxes_are_those_of_the_cpu(kernels: bytes) -> None:
    with TemporaryDirectory() as folder:
        gpu = open_stand_in_gpu(Path(folder))
        on_device, on_cpu = engines(gpu, oriented(Path(folder) / "made.onnx"), largest_batch=3)
        by_device, by_host = object_detector(on_device), object_detector(on_cpu)
        assert isinstance(by_device, DeviceObjectDetector)
        images = framed(pictures(*SIZES))
        for one, other in zip(by_device.shaped(images), by_host.shaped(images), strict=True):
            compare(one.detections, other.detections)
            assert one.oriented is not None
            assert other.oriented is not None
            assert len(other.oriented) == len(other) > 5
            np.testing.assert_allclose(one.oriented.corners, other.oriented.corners, atol=2e-3)
        by_device.close()
        gpu.device.close()
        assert not alive()


@pytest.mark.usefixtures("_deim")
@on_stand_in()
def test_a_real_deim_finds_the_same_by_both_paths(kernels: bytes) -> None:
    """The images have the model's size, so that its input is the same to the last bit."""
    with TemporaryDirectory() as folder:
        gpu = open_stand_in_gpu(Path(folder))
        for name in DEIM:
            model = replace(Catalog.load().get(name), path=stored(name))
            on_device, on_cpu = engines(gpu, model, largest_batch=2)
            by_device, by_host = object_detector(on_device, 0.1), object_detector(on_cpu, 0.1)
            size = model.input.width, model.input.height
            images = [np.asarray(cv2.resize(image, size), np.uint8) for image in reference_pictures(3)]
            found = by_device.find(framed(images))
            assert sum(map(len, found)) > 5
            for one, other in zip(found, by_host.find(framed(images)), strict=True):
                compare(one, other)
            by_device.close()
        gpu.device.close()


@on_stand_in()
def test_a_wrong_head_is_an_error_of_both_paths(kernels: bytes) -> None:
    """The file has three classes, and only one has a label."""
    with TemporaryDirectory() as folder:
        gpu = open_stand_in_gpu(Path(folder))
        model = two_inputs(Path(folder) / "made.onnx")
        few = Model("few", "detector", model.head, "none", model.input, model.labels[:1], path=model.path)
        on_device, on_cpu = engines(gpu, few)
        image = framed(pictures((WIDTH, HEIGHT)))
        by_device = object_detector(on_device)
        with pytest.raises(HeadMismatchError, match="classes are not among the 1 labels"):
            by_device.find(image)
        with pytest.raises(PluginError, match="reports class"):
            object_detector(on_cpu).find(image)
        by_device.close()
        gpu.device.close()
