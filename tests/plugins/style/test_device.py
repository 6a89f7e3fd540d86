"""A frame on a GPU is painted and shown there, as on the CPU: real PyCUDA on the stand-in driver, kernels built for the
host, ONNX Runtime in device memory."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import pytest

from sightd.daemon.config.model import Render
from sightd.daemon.render.renderer import Renderer
from sightd.engines.cuda.gpus import Gpu
from sightd.engines.cuda.image import DeviceImage, Downloads
from sightd.engines.cuda.pipelines.drawing import FrameDrawing
from sightd.engines.models.catalog import Catalog
from sightd.engines.sessions.engine import Engine
from sightd.plugins.api import Frame, FrameOverride, Image, Results
from sightd.plugins.style import Stylist
from sightd.plugins.style.config import StyleConfig
from tests.engines.cuda.pictures import nv12_of
from tests.support.device_engine import DeviceOnnxSession, EngineContext, open_stand_in_gpu
from tests.support.device_pictures import device_image, nv12_round_trip
from tests.support.faces import photo
from tests.support.fake_cuda import StandIn, on_stand_in
from tests.support.networks import stored

pytestmark = pytest.mark.timeout(600)
SIZE = (160, 96)


@pytest.fixture(scope="module")
def stand_in(stand_in: StandIn) -> StandIn:
    photo("astronaut.png")
    stored("style26")  # downloaded here, so that the tests' processes find it in the cache
    return stand_in


def stylist(gpu: Gpu | None, **options: object) -> Stylist:
    model = Catalog.load().get("style26")
    model = replace(model, input=replace(model.input, width=SIZE[0], height=SIZE[1]))
    plugin = Stylist(StyleConfig.model_validate(options))
    engine = Engine(model, DeviceOnnxSession(stored("style26"), 2, SIZE), "", gpu)
    plugin.open(EngineContext(engine))
    return plugin


def film(count: int) -> list[Image]:
    """Returns the frames of a camera that pans a little."""
    image = photo("astronaut.png")
    parts = [image[100 : 100 + 180, 60 + 4 * n : 60 + 4 * n + 320] for n in range(count)]
    return [np.ascontiguousarray(part) for part in parts]


def there(gpu: Gpu, images: Sequence[Image], downloads: Downloads) -> list[Frame]:
    """Returns frames on the GPU that must not be downloaded to the host."""

    def never() -> Image:
        raise AssertionError("a frame was downloaded")

    return [
        Frame(
            f"camera {n % 2}", n, (320, 180), never, captured_at=n / 25, wall_time=0.0,
            on_device=device_image(gpu.device, image, downloads),
        )
        for n, image in enumerate(images)
    ]  # fmt: skip


@on_stand_in()
def test_paintings_are_those_of_the_cpu(kernels: bytes) -> None:
    images = film(6)
    with TemporaryDirectory() as folder:
        gpu = open_stand_in_gpu(Path(folder))
        downloads = Downloads(gpu.device)
        for options in ({}, {"smoothing": 0, "strength": 0.6}, {"keep_colours": True, "style": ["starry", "delft"]}):
            ours, theirs = stylist(gpu, **options), stylist(None, **options)
            frames = there(gpu, images, downloads)
            found = [one.get(FrameOverride) for one in ours.process(frames, [Results()] * len(frames))]
            host = [
                Frame.of(nv12_round_trip(image), camera=frame.camera, captured_at=frame.captured_at)
                for image, frame in zip(images, frames, strict=True)
            ]
            expected = [one.get(FrameOverride) for one in theirs.process(host, [Results()] * len(host))]
            for picture, wanted in zip(found, expected, strict=True):
                assert picture is not None
                assert wanted is not None
                assert picture.on_device is not None
                assert picture.image.shape == wanted.image.shape
                assert cv2.PSNR(picture.image, nv12_round_trip(wanted.image)) >= 40, "a byte more or less goes in"
                difference = np.abs(picture.on_device.nv12()[:180].astype(int) - nv12_of(wanted.image)[0])
                assert difference.mean() <= 0.3
            ours.close()
            theirs.close()
            del found, frames, picture
        gc.collect()
        downloads.close()
        gpu.device.close()


@on_stand_in()
def test_what_is_shown_of_it_is_drawn_there_too(kernels: bytes) -> None:
    with TemporaryDirectory() as folder:
        gpu = open_stand_in_gpu(Path(folder))
        downloads, plugin = Downloads(gpu.device), stylist(gpu)
        (frame,) = there(gpu, film(1), downloads)
        results = plugin.process([frame], [Results()])[0]
        renderer = Renderer("a", Render(), drawing=FrameDrawing(gpu))
        before = gpu.device.transfers.bytes_to_host
        shown = renderer.render(frame, results, fps=25.0).picture()
        assert isinstance(shown, DeviceImage)
        assert gpu.device.transfers.bytes_to_host == before
        del shown, results, frame
        gc.collect()
        renderer.close()
        plugin.close()
        downloads.close()
        gpu.device.close()


@on_stand_in()
def test_a_part_of_the_picture_is_painted_on_the_host(kernels: bytes) -> None:
    with TemporaryDirectory() as folder:
        gpu = open_stand_in_gpu(Path(folder))
        downloads = Downloads(gpu.device)
        plugin = stylist(gpu, where={"polygons": [[[0, 0], [0.5, 0], [0.5, 1]]]})
        image = film(1)[0]
        frame = Frame.of(image)
        frame.on_device = device_image(gpu.device, image, downloads)
        picture = plugin.process([frame], [Results()])[0].get(FrameOverride)
        assert picture is not None
        assert picture.on_device is None
        del frame, picture
        gc.collect()
        plugin.close()
        downloads.close()
        gpu.device.close()
