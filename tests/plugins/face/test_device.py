"""Faces are found and embedded on the GPU as on the CPU: real PyCUDA on the stand-in driver, kernels built for the
host, ONNX Runtime in device memory."""

from __future__ import annotations

import gc
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import pytest

from sightd.engines.cuda.image import Downloads
from sightd.engines.models.catalog import Catalog
from sightd.engines.sessions.engine import Engine
from sightd.plugins.api import Frame
from sightd.plugins.face.analyser import FaceAnalyser
from sightd.plugins.face.detector import DeviceFaceDetector, HostFaceDetector, Plan, Search, face_detector_for
from sightd.plugins.face.embedder import DeviceFaceEmbedder, HostFaceEmbedder, face_embedder_for
from sightd.plugins.look.sheets import packed
from sightd.plugins.look.views import ScaledView
from tests.support.device_engine import DeviceOnnxSession, open_stand_in_gpu
from tests.support.device_pictures import device_frame, device_image, nv12_rows
from tests.support.faces import engine, photo
from tests.support.fake_cuda import StandIn, on_stand_in
from tests.support.networks import stored

pytestmark = pytest.mark.timeout(600)
PHOTOS = ("multi_face.jpg", "astronaut.png")


@pytest.fixture(scope="module")
def stand_in(stand_in: StandIn) -> StandIn:
    for name in PHOTOS:
        photo(name)  # downloaded here, so that the tests' processes find it in the cache
    for network in ("yunet", "sface"):
        stored(network)
    return stand_in


@on_stand_in()
def test_faces_and_embeddings_are_those_of_the_cpu(kernels: bytes) -> None:
    frames = [Frame.of(photo(name, 640).copy()) for name in PHOTOS]
    with TemporaryDirectory() as folder:
        gpu = open_stand_in_gpu(Path(folder))
        catalog = Catalog.load()
        detector = Engine(catalog.get("yunet"), DeviceOnnxSession(stored("yunet"), 2, (640, 640)), "", gpu)
        recogniser = Engine(catalog.get("sface"), DeviceOnnxSession(stored("sface"), 4), "", gpu)
        face_detector, face_embedder = face_detector_for(detector, Search()), face_embedder_for(recogniser)
        assert isinstance(face_detector, DeviceFaceDetector)
        assert isinstance(face_embedder, DeviceFaceEmbedder)
        found = FaceAnalyser(face_detector, face_embedder).looks(frames)
        expected = FaceAnalyser(HostFaceDetector(engine("yunet"), Search()), HostFaceEmbedder(engine("sface"), 4))
        for ours, theirs in zip(found, expected.looks(frames), strict=True):
            assert len(ours) == len(theirs) > 0
            np.testing.assert_allclose(ours.boxes, theirs.boxes, atol=0.05)
            np.testing.assert_allclose(ours.landmarks, theirs.landmarks, atol=0.05)
            assert np.abs(ours.crops.astype(int) - theirs.crops).max() <= 2
            assert (ours.embeddings * theirs.embeddings).sum(axis=1).min() >= 0.999
            np.testing.assert_allclose(ours.quality.totals, theirs.quality.totals, atol=0.01)
        pipelines = recogniser.face_pipelines()
        assert pipelines is not None
        for images in ([], [frames[0].host()]):
            nobody = pipelines.embed(images, [])
            assert nobody.crops.shape == (0, 112, 112, 3)
            assert nobody.embeddings.shape[0] == 0
            assert nobody.embeddings.ndim == 2
        pipelines.close()
        face_detector.close()
        face_embedder.close()
        face_embedder.close()
        gpu.device.close()


@on_stand_in()
def test_a_face_upside_down_is_turned_upright(kernels: bytes) -> None:
    image = photo("astronaut.png", 400)
    upside_down = np.ascontiguousarray(image[::-1, ::-1])
    with TemporaryDirectory() as folder:
        gpu = open_stand_in_gpu(Path(folder))
        detector = Engine(Catalog.load().get("yunet"), DeviceOnnxSession(stored("yunet"), 2, (640, 640)), "", gpu)
        face_detector = face_detector_for(detector, Search())
        face_embedder = HostFaceEmbedder(engine("sface"), 1)
        (looks,) = FaceAnalyser(face_detector, face_embedder).looks([Frame.of(upside_down)])
        (plain,) = FaceAnalyser(HostFaceDetector(engine("yunet"), Search()), face_embedder).looks(
            [Frame.of(image.copy())]
        )
        assert looks.quality.upright.all()
        assert float(looks.embeddings[0] @ plain.embeddings[0]) > 0.8
        face_detector.close()
        gpu.device.close()


@on_stand_in()
def test_a_frame_that_lies_on_the_gpu_is_read_there(kernels: bytes) -> None:
    """No pixel is uploaded; of each face, its crop and its embedding are downloaded."""
    with TemporaryDirectory() as folder:
        gpu = open_stand_in_gpu(Path(folder))
        recogniser = Engine(Catalog.load().get("sface"), DeviceOnnxSession(stored("sface"), 4), "", gpu)
        face_embedder, downloads = face_embedder_for(recogniser), Downloads(gpu.device)
        image = photo("astronaut.png").copy()
        points = (
            HostFaceDetector(engine("yunet"), Search()).find([of := Frame.of(image)], [Plan.whole(of)])[0].landmarks
        )
        there = device_frame(device_image(gpu.device, image, downloads), image)
        before = gpu.device.transfers.bytes_to_device
        read = face_embedder.read([(there, points[0])], [True])
        assert gpu.device.transfers.bytes_to_device - before < 4096, "only descriptors"
        nv12 = np.asarray(cv2.cvtColor(nv12_rows(image), cv2.COLOR_YUV2BGR_NV12), np.uint8)
        expected = HostFaceEmbedder(engine("sface"), 1).read([(Frame.of(nv12), points[0])], [True])
        assert np.abs(read.crops.astype(int) - expected.crops).max() <= 2
        assert float(read.embeddings[0] @ expected.embeddings[0]) >= 0.999
        del there
        gc.collect()
        face_embedder.close()
        downloads.close()
        gpu.device.close()


@on_stand_in()
def test_parts_of_a_frame_on_the_gpu_are_searched_there(kernels: bytes) -> None:
    wide = np.full((1080, 1920, 3), 90, np.uint8)
    group = cv2.resize(photo("multi_face.jpg"), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    wide[500 : 500 + group.shape[0], 1000 : 1000 + group.shape[1]] = group
    search = Search(min_score=0.3)
    with TemporaryDirectory() as folder:
        gpu = open_stand_in_gpu(Path(folder))
        detector = Engine(Catalog.load().get("yunet"), DeviceOnnxSession(stored("yunet"), 2, (640, 640)), "", gpu)
        face_detector, downloads = face_detector_for(detector, search), Downloads(gpu.device)
        frame = device_frame(device_image(gpu.device, wide, downloads), wide)
        tile = (1001, 481, 1641, 1080)
        before = gpu.device.transfers.bytes_to_device
        (found,) = face_detector.find([frame], [Plan([tile])])
        assert gpu.device.transfers.bytes_to_device - before < 4096, "only descriptors"
        nv12 = Frame.of(np.asarray(cv2.cvtColor(nv12_rows(wide), cv2.COLOR_YUV2BGR_NV12), np.uint8))
        on_cpu = HostFaceDetector(engine("yunet"), search)
        (expected,) = on_cpu.find([nv12], [Plan([(1000, 480, 1641, 1080)])])
        assert len(found) == len(expected) >= 4
        np.testing.assert_allclose(found.boxes, expected.boxes, atol=1.0)
        close_ups = [ScaledView((1000, 480, 1300, 780)), ScaledView((1200, 480, 1500, 700), 2.0)]
        sheets = packed(close_ups, 640, 640, 4)[0].sheets()
        before = gpu.device.transfers.bytes_to_device
        (found,) = face_detector.find([frame], [Plan([], sheets)])
        assert gpu.device.transfers.bytes_to_device - before < 4096, "only descriptors"
        (expected,) = on_cpu.find([nv12], [Plan([], sheets)])
        assert len(found) == len(expected) >= 1
        np.testing.assert_allclose(np.sort(found.boxes, axis=0), np.sort(expected.boxes, axis=0), atol=0.5)
        del frame
        gc.collect()
        face_detector.close()
        downloads.close()
        gpu.device.close()
