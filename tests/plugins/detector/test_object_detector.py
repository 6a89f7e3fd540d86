"""The detector finds the same on the GPU as on the CPU: real PyCUDA on the stand-in driver, kernels built for the host,
ONNX Runtime in device memory. Each test must leave nothing alive on the device."""

from __future__ import annotations

import contextlib
import gc
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import cv2
import numpy as np
import pytest

from sightd.engines.cuda.driver import transferred
from sightd.engines.cuda.gpus import Gpu
from sightd.engines.cuda.image import DeviceImage, Downloads
from sightd.engines.cuda.launch.picture import DevicePicture
from sightd.engines.errors import EngineError
from sightd.engines.model import Resize
from sightd.engines.sessions.engine import Engine
from sightd.plugins.api import Detections, Frame, Image, Results
from sightd.plugins.configuration.model_choice import ModelChoice
from sightd.plugins.detector.config import DetectorConfig
from sightd.plugins.detector.heads.registry import head_of
from sightd.plugins.detector.plugin import (
    Detector,
    DeviceObjectDetector,
    HostObjectDetector,
    ObjectDetector,
    object_detector_for,
)
from sightd.plugins.detector.selection import Selection
from sightd.plugins.look.sheets import FrameSheet, Part, Sheet
from tests.support.device_engine import (
    LABELS,
    DeviceOnnxSession,
    EngineContext,
    engines,
    open_stand_in_gpu,
    pixel_network,
)
from tests.support.device_pictures import device_frame, device_image, nv12_round_trip
from tests.support.fake_cuda import on_stand_in
from tests.support.fake_cuda.control import alive, fail, fail_no_more

pytestmark = pytest.mark.timeout(600)


def pictures(*sizes: tuple[int, int]) -> list[Image]:
    rng = np.random.default_rng(5)
    return [rng.integers(0, 256, (height, width, 3), np.uint8) for width, height in sizes]


def object_detector(engine: Engine, **options: Any) -> ObjectDetector:
    config = DetectorConfig.model_validate({"min_score": 0.05, **options})
    return object_detector_for(engine, head_of(engine.model), Selection(config, LABELS))


def framed(images: list[Image]) -> list[Frame]:
    return [Frame.of(image) for image in images]


def assert_same(found: list[Detections], expected: list[Detections]) -> int:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.class_ids, other.class_ids)
        np.testing.assert_array_equal(one.scores, other.scores)
        np.testing.assert_allclose(one.boxes, other.boxes, rtol=2e-6, atol=1e-3)
        assert one.labels == other.labels
    return sum(map(len, found))


def compare(gpu: Gpu, folder: Path, images: list[Image], resize: Resize = Resize.STRETCH, **options: Any) -> int:
    """Compares both paths on the images, twice. Returns how many boxes there were."""
    on_device, on_cpu = engines(gpu, pixel_network(folder / "pixels.onnx", resize=resize))
    by_device, by_host = object_detector(on_device, **options), object_detector(on_cpu, **options)
    assert isinstance(by_device, DeviceObjectDetector)
    assert isinstance(by_host, HostObjectDetector)
    shown = sum(assert_same(by_device.find(framed(images)), by_host.find(framed(images))) for _ in range(2))
    by_device.close()
    by_device.close()
    return shown


@on_stand_in()
def test_pictures_of_all_sizes_give_the_same_boxes_however_they_are_resized(kernels: bytes) -> None:
    images = pictures((64, 32), (128, 64), (200, 151), (30, 90), (65, 33), (64, 32))
    for resize in Resize:
        with TemporaryDirectory() as folder:
            gpu = open_stand_in_gpu(Path(folder))
            assert compare(gpu, Path(folder), images, resize) > 50
            gpu.device.close()
            assert not alive()


@on_stand_in()
def test_every_filter_gives_the_same(kernels: bytes) -> None:
    left = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]
    with TemporaryDirectory() as folder:
        gpu = open_stand_in_gpu(Path(folder))
        for options in (
            {"max_detections": 3},
            {"nms_iou": 0.2, "agnostic": True},
            {"agnostic": True, "classes": ["nut"], "nms_iou": 0.3},
            {"classes": ["nut", "bolt"], "class_min_score": {"bolt": 0.3}},
            {"min_size": 14},
            {"only_inside": [left], "max_detections": 4},
            {"ignore": [left], "min_size": 9},
        ):
            assert compare(gpu, Path(folder), pictures((64, 32), (128, 64), (64, 32)), **options) > 3
        gpu.device.close()


@on_stand_in()
def test_boxes_that_crowd_outside_a_region_do_not_hide_those_inside(kernels: bytes) -> None:
    """The GPU returns a limited number of boxes; if that is not enough for the region, the CPU processes the image."""
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sightd.plugins.detector.selection._SEEN_FOR_REGIONS", 6)
        gpu = open_stand_in_gpu(Path(folder))
        right = [[0.7, 0], [1, 0], [1, 1], [0.7, 1]]
        assert compare(gpu, Path(folder), pictures((64, 32), (64, 32)), only_inside=[right], max_detections=6) > 2
        gpu.device.close()


@on_stand_in()
def test_more_pictures_than_a_batch_go_in_several_runs_and_each_is_copied_once(kernels: bytes) -> None:
    with TemporaryDirectory() as folder:
        gpu = open_stand_in_gpu(Path(folder))
        on_device, on_cpu = engines(gpu, pixel_network(Path(folder) / "pixels.onnx"), largest_batch=4)
        images = pictures(*[(128, 64)] * 10)
        by_device = object_detector(on_device)
        by_device.find(framed(images))
        before = gpu.device.transfers.bytes_to_device, gpu.device.transfers.bytes_to_host
        assert_same(by_device.find(framed(images)), object_detector(on_cpu).find(framed(images)))
        assert isinstance(on_device.session, DeviceOnnxSession)
        assert on_device.session.runs == [4, 4, 2] * 2
        up = gpu.device.transfers.bytes_to_device - before[0]
        down = gpu.device.transfers.bytes_to_host - before[1]
        pixels = sum(image.nbytes for image in images)
        assert pixels < up < pixels + 10 * 256, "the pixels once, and a descriptor for each picture"
        assert down <= 10 * 100 * 32 + 3 * 4 * 28, "a hundred boxes at the most, and what was counted"
        made = gpu.device.memory.made, gpu.device.pinned_memory.made
        for _ in range(20):
            by_device.find(framed(images))
        assert (gpu.device.memory.made, gpu.device.pinned_memory.made) == made, "a steady stream allocates nothing"
        by_device.close()
        counted = transferred().bytes_to_device
        gpu.device.close()
        assert transferred().bytes_to_device == counted > 2 * pixels
        assert transferred().bytes_to_device == gpu.device.transfers.bytes_to_device


def decoded_there(gpu: Gpu, image: Image) -> DeviceImage:
    """Returns the image as NVDEC would have left it on the device."""
    planes = np.asarray(
        av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format="nv12").to_ndarray(), np.uint8
    )
    height, width = image.shape[:2]
    buffer, stream = gpu.device.allocate(planes.nbytes), gpu.device.stream()
    buffer.upload(planes, stream)
    stream.synchronize()
    stream.close()
    picture = DevicePicture(buffer.address, width, width, height, buffer.address + width * height, width)
    return DeviceImage(gpu.device.ordinal, buffer, picture, Downloads(gpu.device))


@on_stand_in()
def test_pictures_that_are_on_the_device_are_not_copied_and_may_be_mixed_with_others(kernels: bytes) -> None:
    with TemporaryDirectory() as folder:
        gpu = open_stand_in_gpu(Path(folder))
        on_device, on_cpu = engines(gpu, pixel_network(Path(folder) / "pixels.onnx"))
        by_device = object_detector(on_device)
        soft = [np.asarray(cv2.GaussianBlur(image, (0, 0), 6), np.uint8) for image in pictures(*[(64, 32)] * 4)]
        frames = [
            Frame("a", 0, (64, 32), image.copy, captured_at=0.0, wall_time=0.0, on_device=decoded_there(gpu, image))
            for image in soft
        ]
        by_device.find(frames)
        before = gpu.device.transfers.bytes_to_device
        of_device = by_device.find(frames)
        assert gpu.device.transfers.bytes_to_device - before < soft[0].nbytes / 4, "only descriptors"
        of_host = object_detector(on_cpu).find(framed(soft))
        assert [len(each) for each in of_device] == [len(each) for each in of_host]
        assert sum(map(len, of_host)) > 20
        mixed = by_device.find([frames[0], *framed(soft[1:3]), frames[3]])
        assert_same([mixed[0], mixed[3]], [of_device[0], of_device[3]])
        assert_same(mixed[1:3], of_host[1:3])
        frames.clear()
        by_device.close()
        gpu.device.close()


@on_stand_in()
def test_a_sheet_of_a_frame_that_is_on_the_device_is_drawn_there(kernels: bytes) -> None:
    """Into the model's input: no pixel is copied from or to the device, and the boxes are those of the host's sheet."""
    sheet = Sheet(64, 32, (Part((20, 10, 60, 34), 1.0, 0, 0), Part((31, 5, 71, 45), 0.5, 44, 0)))
    with TemporaryDirectory() as folder:
        gpu = open_stand_in_gpu(Path(folder))
        on_device, on_cpu = engines(gpu, pixel_network(Path(folder) / "pixels.onnx"))
        by_device, by_host = object_detector(on_device), object_detector(on_cpu)
        (image,) = pictures((96, 64))
        seen = nv12_round_trip(np.asarray(cv2.GaussianBlur(image, (0, 0), 3), np.uint8))
        downloads = Downloads(gpu.device)
        frame = device_frame(device_image(gpu.device, seen, downloads), nv12_round_trip(seen))
        by_device.shaped([FrameSheet(frame, sheet)])
        before = gpu.device.transfers.bytes_to_device
        (there,) = by_device.shaped([FrameSheet(frame, sheet)])
        assert gpu.device.transfers.bytes_to_device - before < 1024, "only descriptors"
        (here,) = by_host.shaped([FrameSheet(Frame.of(frame.host()), sheet)])
        assert len(there) == len(here) > 5
        np.testing.assert_allclose(there.detections.scores, here.detections.scores, atol=0.01)
        uploaded = np.zeros((40, 30, 3), np.uint8)
        mixed = by_device.shaped([Frame.of(uploaded), FrameSheet(frame, sheet), frame])
        assert_same([mixed[1].detections], [there.detections])
        del frame
        gc.collect()
        downloads.close()
        by_device.close()
        gpu.device.close()


@on_stand_in()
def test_a_picture_on_another_card_comes_by_the_host(kernels: bytes) -> None:
    with TemporaryDirectory() as folder:
        gpu = open_stand_in_gpu(Path(folder))
        on_device, on_cpu = engines(gpu, pixel_network(Path(folder) / "pixels.onnx"))
        by_device, (image,) = object_detector(on_device), pictures((64, 32))
        there = decoded_there(gpu, image)
        there.ordinal = 1
        frame = Frame("a", 0, (64, 32), image.copy, captured_at=0.0, wall_time=0.0, on_device=there)
        assert_same(by_device.find([frame]), object_detector(on_cpu).find(framed([image])))
        del frame, there
        by_device.close()
        gpu.device.close()


@on_stand_in()
def test_several_threads_find_at_once(kernels: bytes) -> None:
    with TemporaryDirectory() as folder:
        gpu = open_stand_in_gpu(Path(folder))
        on_device, on_cpu = engines(gpu, pixel_network(Path(folder) / "pixels.onnx"))
        by_device, images = object_detector(on_device), pictures(*[(64, 32)] * 6)
        found: list[list[Detections]] = []
        expected = object_detector(on_cpu).find(framed(images))
        threads = [threading.Thread(target=lambda: found.append(by_device.find(framed(images)))) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(found) == 5
        for each in found:
            assert_same(each, expected)
        assert alive()["streams"] <= 2, "a lane has a stream, and there are two at the most"
        by_device.close()
        with pytest.raises(EngineError, match="after it was closed"):
            by_device.find(framed(images))
        gpu.device.close()


@on_stand_in()
def test_the_plug_in_goes_by_the_device_and_gives_all_back(kernels: bytes) -> None:
    with TemporaryDirectory() as folder:
        gpu = open_stand_in_gpu(Path(folder))
        on_device, on_cpu = engines(gpu, pixel_network(Path(folder) / "pixels.onnx"))
        frames = [
            Frame.of(image, camera=f"camera-{i}", seq=1, captured_at=1.0)
            for i, image in enumerate(pictures((128, 64), (90, 70)))
        ]
        detectors = [Detector(DetectorConfig(model=ModelChoice("pixels"))) for _ in range(2)]
        results = []
        for detector, engine in zip(detectors, (on_device, on_cpu), strict=True):
            detector.open(EngineContext(engine))
            found = [each.get(Detections) for each in detector.process(frames, [Results()] * 2)]
            results.append([each for each in found if each is not None])
        assert assert_same(*results) > 5
        for detector in detectors:
            detector.close()
        assert alive().keys() <= {"contexts", "device memory", "pinned", "modules"}, "memory is the pool's again"
        assert gpu.device.memory.used_bytes == gpu.device.pinned_memory.used_bytes == 0
        gpu.device.close()


@on_stand_in()
def test_after_a_failed_copy_the_next_pictures_are_right(kernels: bytes) -> None:
    with TemporaryDirectory() as folder:
        gpu = open_stand_in_gpu(Path(folder))
        on_device, on_cpu = engines(gpu, pixel_network(Path(folder) / "pixels.onnx"))
        by_device, images = object_detector(on_device), pictures((64, 32), (128, 64))
        for function in ("cuMemcpyHtoDAsync_v2", "cuLaunchKernel", "cuMemcpyDtoHAsync_v2", "cuMemAlloc_v2"):
            fail(function)
            with contextlib.suppress(EngineError):
                by_device.find(framed(images))
            fail_no_more()
            assert_same(by_device.find(framed(images)), object_detector(on_cpu).find(framed(images)))
        by_device.close()
        gpu.device.close()
