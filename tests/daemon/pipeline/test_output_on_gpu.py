"""A camera whose frames are on a GPU: they are drawn on and encoded with at most one copy to the host; if the GPU
cannot draw, the CPU does."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast
from unittest.mock import Mock

import pytest
from prometheus_client import CollectorRegistry

from sightd.daemon.capture.slot import FrameSlot
from sightd.daemon.config.model import Output, Render
from sightd.daemon.encode.choice import CodecChoice
from sightd.daemon.metrics.registry import Metrics
from sightd.daemon.pipeline.camera_pipeline import CameraPipeline
from sightd.daemon.pipeline.output import CameraOutput
from sightd.daemon.pipeline.publisher import Publisher
from sightd.daemon.render.renderer import Renderer
from sightd.daemon.serve.rtsp.stream import RtspStream
from sightd.engines.cuda.errors import CudaError
from sightd.engines.cuda.gpus import Gpu
from sightd.engines.cuda.image import DeviceImage, Downloads
from sightd.engines.cuda.pipelines.drawing import FrameDrawing
from sightd.plugins.api import Frame, Image
from tests.daemon.pipeline.test_output import Player as RtspPlayer
from tests.engines.cuda.pictures import smooth
from tests.support.device_engine import open_stand_in_gpu
from tests.support.device_pictures import device_frame, device_image
from tests.support.fake_cuda import on_stand_in
from tests.support.fake_cuda.control import alive
from tests.support.waiting import eventually

pytestmark = pytest.mark.computing


class Player(RtspPlayer):
    def has(self, packets: int) -> bool:
        return len(self.packets) == packets


SIZE = (320, 180)
PITCH = 512
"""Bytes per row of 320 pixels, as FrameDrawing allocates it."""


class RecordedLog(logging.Handler):
    """Records log messages, because the test's own process has no `caplog`."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def not_fetched() -> Image:
    raise AssertionError("the frame itself came to the host")


class Bench:
    """A camera's output that draws on the stand-in GPU, with a player."""

    def __init__(self, gpu: Gpu) -> None:
        self.drawing = FrameDrawing(gpu)
        self.metrics, self.player, self.slot = Metrics(CollectorRegistry(), "0", []), Player(), FrameSlot()
        camera, rtsp = self.metrics.camera("a"), cast(RtspStream, self.player)
        self.output = CameraOutput(
            "a",
            "A",
            self.slot,
            CameraPipeline("a", []),
            Renderer("A", Render(), None, self.drawing),
            Publisher(Output(), CodecChoice("a", "x264"), rtsp, None, camera, self.metrics.stages),
            camera,
            self.metrics.stages,
            Mock(),
        )


@contextmanager
def bench_on_gpu() -> Iterator[tuple[Bench, Downloads]]:
    """Yields the bench and the downloader for its frames; its output has been stopped when the context ends."""
    with TemporaryDirectory() as folder:
        gpu = open_stand_in_gpu(Path(folder))
        downloads, bench = Downloads(gpu.device), Bench(gpu)
        yield bench, downloads
        assert bench.output.stop(10)
        del bench
        gc.collect()
        downloads.close()
        gpu.device.close()


@on_stand_in()
def test_frames_are_shown_with_one_copy_each(kernels: bytes) -> None:
    image = smooth(*SIZE)
    with bench_on_gpu() as (bench, downloads):
        device = downloads.device
        bench.output.start()
        for n in range(3):
            there = device_image(device, image, downloads)
            bench.slot.put(Frame("a", n, SIZE, not_fetched, captured_at=float(n), wall_time=1.7e9 + n, on_device=there))
            eventually(partial(bench.player.has, n + 1))
        assert bench.output.fault is None
        assert device.transfers.bytes_to_host == 3 * PITCH * SIZE[1] * 3 // 2
        del there, bench


@on_stand_in()
def test_if_the_gpu_cannot_draw_the_cpu_does_and_that_is_reported_once(kernels: bytes) -> None:
    log, told, image = logging.getLogger("sightd.daemon.pipeline.output"), RecordedLog(), smooth(*SIZE)
    log.addHandler(told)

    def refuses(*_: Any) -> DeviceImage:
        raise CudaError("out of memory")

    with bench_on_gpu() as (bench, downloads):
        bench.drawing.draw = refuses  # type: ignore[assignment]
        bench.output.start()
        for n in range(3):
            there = device_image(downloads.device, image, downloads)
            bench.slot.put(device_frame(there, image, captured_at=float(n)))
            eventually(partial(bench.player.has, n + 1))
        assert bench.output.fault is None
        assert told.messages == ["camera a: drawing on the CPU because the GPU cannot: out of memory"]
        del there, bench


@on_stand_in()
def test_one_that_never_began_leaves_nothing_on_the_gpu(kernels: bytes) -> None:
    with TemporaryDirectory() as folder:
        gpu = open_stand_in_gpu(Path(folder))
        bench = Bench(gpu)
        assert alive()["streams"] > 0
        assert bench.output.stop(1)
        gpu.device.close()
        assert not alive()
