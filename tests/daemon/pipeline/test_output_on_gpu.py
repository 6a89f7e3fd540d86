"""A camera whose frames lie on a GPU: they are drawn on and encoded with one copy to the host, and none of a frame."""

from __future__ import annotations

import gc
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import pytest
from prometheus_client import CollectorRegistry

from daemon.capture.slot import FrameSlot
from daemon.config.model import Output, Render
from daemon.encode.choice import CodecChoice
from daemon.metrics.registry import Metrics
from daemon.pipeline.line import Line
from daemon.pipeline.output import CameraOutput
from daemon.pipeline.publisher import Publisher
from daemon.render.renderer import Renderer
from daemon.serve.rtsp_stream import RtspStream
from engines.cuda.device_image import Downloads
from engines.cuda.frame_drawing import FrameDrawing
from plugins.types import Frame, Image
from tests.daemon.pipeline.test_output import Player as RtspPlayer
from tests.engines.cuda.pictures import smooth
from tests.support.device_engine import build_with_kernels, open_stand_in_gpu
from tests.support.device_pictures import device_image
from tests.support.fake_cuda import StandIn, on_stand_in
from tests.support.waiting import eventually


class Player(RtspPlayer):
    def has(self, packets: int) -> bool:
        return len(self.packets) == packets


SIZE = (320, 180)
PITCH = 512
"""Of a row of 320 pixels as FrameDrawing lays it."""


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> StandIn:
    return build_with_kernels(tmp_path_factory.mktemp("stand_in"))


def not_fetched() -> Image:
    raise AssertionError("the frame itself came to the host")


@on_stand_in()
def test_frames_are_shown_with_one_copy_each(kernels: bytes) -> None:
    with TemporaryDirectory() as folder:
        gpu = open_stand_in_gpu(Path(folder))
        downloads, image = Downloads(gpu.device), smooth(*SIZE)
        metrics, player, slot = Metrics(CollectorRegistry(), "0", []), Player(), FrameSlot()
        camera = metrics.camera("a")
        output = CameraOutput(
            "a",
            "A",
            slot,
            Line("a", []),
            Renderer("A", Render(), None, FrameDrawing(gpu)),
            Publisher(Output(), CodecChoice("a", "x264"), cast(RtspStream, player), None, camera, metrics.stages),
            camera,
            metrics.stages,
        )
        output.start()
        for n in range(3):
            there = device_image(gpu.device, image, downloads)
            slot.put(Frame("a", n, SIZE, not_fetched, captured_at=float(n), wall_time=1.7e9 + n, on_device=there))
            eventually(partial(player.has, n + 1))
        assert output.fault is None
        assert gpu.device.transfers.bytes_to_host == 3 * PITCH * SIZE[1] * 3 // 2
        assert output.stop(10)
        del there, output
        gc.collect()
        downloads.close()
        gpu.device.close()
