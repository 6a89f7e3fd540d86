"""What is shown reaches every viewer, from wherever it lies."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import cv2
import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from daemon.config.model import Output
from daemon.encode.choice import CodecChoice
from daemon.metrics.registry import Metrics
from daemon.pipeline.publisher import Publisher
from daemon.serve.mjpeg import JpegStream
from daemon.serve.rtsp_stream import RtspStream
from engines.cuda.device_image import Downloads
from tests.daemon.pipeline.test_output import Player
from tests.engines.cuda.pictures import smooth
from tests.support.device_engine import build_with_kernels, open_stand_in_gpu
from tests.support.device_pictures import device_image
from tests.support.fake_cuda import StandIn, on_stand_in


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> StandIn:
    return build_with_kernels(tmp_path_factory.mktemp("stand_in"))


@on_stand_in()
def test_a_picture_on_a_gpu_reaches_both_kinds_of_viewers(kernels: bytes) -> None:
    with TemporaryDirectory() as folder:
        gpu = open_stand_in_gpu(Path(folder))
        downloads = Downloads(gpu.device)
        image = smooth(320, 180)
        metrics, player, jpeg = Metrics(CollectorRegistry(), "0", []), Player(), JpegStream(1000.0)
        codec, rtsp = CodecChoice("a", "x264"), cast(RtspStream, player)
        publisher = Publisher(Output(), codec, rtsp, jpeg, metrics.camera("a"), metrics.stages)
        asyncio.run(jpeg.still(0.01))  # somebody asks: a picture is wanted from now on
        there = device_image(gpu.device, image, downloads)
        publisher.publish(there, 1.0, 25.0)
        still = asyncio.run(jpeg.still())
        assert still is not None
        shown = cv2.imdecode(np.frombuffer(still.data, np.uint8), cv2.IMREAD_COLOR)
        assert shown is not None
        assert np.abs(shown.astype(int) - image).mean() < 6
        publisher.publish(image, 2.0, 25.0)
        assert [packet.keyframe for packet in player.packets] == [True, True], "another kind, another encoder"
        publisher.publish(image, 3.0, 25.0)
        assert not player.packets[-1].keyframe
        del there
        gc.collect()
        downloads.close()
        gpu.device.close()
