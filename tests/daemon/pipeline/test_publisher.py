"""Every viewer gets what is shown, wherever it is stored and whatever happens to the encoder."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import cv2
import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from sightd.daemon.config.model import Output
from sightd.daemon.encode import encoder as of_ffmpeg
from sightd.daemon.encode.choice import CodecChoice
from sightd.daemon.encode.codecs import EncoderError, open_x264
from sightd.daemon.encode.encoder import H264Encoder, Packet
from sightd.daemon.metrics.registry import Metrics
from sightd.daemon.pipeline import publisher as module
from sightd.daemon.pipeline.publisher import Publisher
from sightd.daemon.serve.jpeg_stream import JpegStream
from sightd.daemon.serve.rtsp.stream import RtspStream
from sightd.engines.cuda.driver import CudaDevice
from sightd.engines.cuda.image import DeviceImage, Downloads
from sightd.engines.cuda.launch.picture import DevicePicture
from sightd.plugins.api import Image
from tests.daemon.pipeline.test_output import Player
from tests.engines.cuda.pictures import smooth
from tests.support.device_engine import open_stand_in_gpu
from tests.support.device_pictures import device_image
from tests.support.fake_cuda import on_stand_in


@contextmanager
def device_and_downloads() -> Iterator[tuple[CudaDevice, Downloads]]:
    with TemporaryDirectory() as folder:
        device = open_stand_in_gpu(Path(folder)).device
        downloads = Downloads(device)
        yield device, downloads
        gc.collect()
        downloads.close()
        device.close()


class Shown:
    """A publisher and what its viewers receive."""

    def __init__(self, codec: CodecChoice, jpeg: JpegStream | None = None) -> None:
        self.player = Player()
        self.metrics = Metrics(CollectorRegistry(), "0", [])
        self.publisher = Publisher(
            Output(), codec, cast(RtspStream, self.player), jpeg, self.metrics.camera("a"), self.metrics.stages
        )

    def publish(self, image: Image | DeviceImage, at: float) -> Packet:
        """Publishes an image and returns the packet that a player gets."""
        before = len(self.player.packets)
        self.publisher.publish(image, at, 25.0)
        assert len(self.player.packets) == before + 1
        return self.player.packets[-1]

    def encoder(self) -> str:
        """Returns the name of the encoder in the metrics."""
        (name,) = (
            name
            for name in ("x264", "nvenc")
            if self.metrics.registry.get_sample_value("sightd_encoder_info", {"camera": "a", "encoder": name})
        )
        return name


@on_stand_in()
def test_a_picture_on_a_gpu_reaches_both_kinds_of_viewers_by_one_download(kernels: bytes) -> None:
    with device_and_downloads() as (device, downloads):
        image, jpeg = smooth(320, 180), JpegStream(1000.0)
        asyncio.run(jpeg.still(0.01))  # a request: from now on an image is requested
        shown = Shown(CodecChoice("a", "x264"), jpeg)
        there = device_image(device, image, downloads)
        before = device.transfers.copies
        assert shown.publish(there, 1.0).keyframe
        assert device.transfers.copies == before + 1
        still = asyncio.run(jpeg.still())
        assert still is not None
        seen = cv2.imdecode(np.frombuffer(still.data, np.uint8), cv2.IMREAD_COLOR)
        assert seen is not None
        assert np.abs(seen.astype(int) - image).mean() < 6
        del there


@on_stand_in()
def test_the_first_picture_that_nvenc_refuses_is_shown_by_x264(kernels: bytes) -> None:
    """On a GPU, NVENC opens with the first frame; FFmpeg finds functions missing in the stand-in."""
    with device_and_downloads() as (device, downloads):
        shown = Shown(CodecChoice("a", "auto", nvenc_missing=lambda: None))
        there = device_image(device, smooth(320, 180), downloads)
        assert shown.publish(there, 1.0).keyframe
        assert shown.encoder() == "x264"
        assert not shown.publish(there, 2.0).keyframe, "the encoder stays"
        of_ffmpeg._context.cache_clear()
        del there


def test_a_picture_on_which_nvenc_breaks_down_is_shown_by_x264(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Shown(CodecChoice("a", "auto", nvenc_missing=lambda: None, nvenc=open_x264))
    image = np.zeros((48, 64, 3), np.uint8)
    shown.publish(image, 1.0)
    assert shown.encoder() == "nvenc"
    encode, broken = H264Encoder.encode, [shown.publisher._encoder]

    def breaks_down(encoder: H264Encoder, *given: Any) -> list[Packet]:
        if encoder in broken:
            raise EncoderError("the GPU is gone")
        return encode(encoder, *given)

    monkeypatch.setattr(H264Encoder, "encode", breaks_down)
    assert shown.publish(image, 2.0).keyframe
    assert shown.encoder() == "x264"


def test_an_nvenc_that_is_a_must_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Shown(CodecChoice("a", "nvenc", nvenc_missing=lambda: None, nvenc=open_x264))

    def breaks_down(*_: object) -> list[Packet]:
        raise EncoderError("the GPU is gone")

    monkeypatch.setattr(H264Encoder, "encode", breaks_down)
    with pytest.raises(EncoderError, match="the GPU is gone"):
        shown.publisher.publish(np.zeros((48, 64, 3), np.uint8), 1.0, 25.0)


class Encoder:
    """Replaces `H264Encoder`: reads images, but has no codec."""

    def __init__(self, width: int, height: int, fps: float, options: Output, open_codec: Callable[..., Any]) -> None:
        self.in_place = open_codec(width, height, fps, options) == "on the GPU"

    def encode(self, image: Image | DeviceImage, at: float, keyframe: bool = False) -> list[Packet]:
        assert not self.in_place or isinstance(image, DeviceImage), "it reads no picture on the host"
        return [Packet(b"", at, keyframe)]

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("pictures", "opened"),
    [
        ("g" * 100, ["on the GPU"]),
        ("h" * 100, ["on the host"]),
        ("gh" * 100, ["on the GPU", "on the host"]),
        ("h" + "g" * 49 + "h" + "g" * 49, ["on the host"]),
        ("h" + "g" * 60, ["on the host", "on the GPU"]),
    ],
)
def test_pictures_of_both_kinds_do_not_make_an_encoder_each(
    pictures: str, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`g` is on the GPU, `h` was downloaded by a plug-in; a new encoder costs viewers a key frame."""
    monkeypatch.setattr(module, "H264Encoder", Encoder)
    found: list[str] = []

    def opens(where: str) -> Any:
        def opening(*_: object) -> str:
            found.append(where)
            return where

        return opening

    codec = CodecChoice(
        "a", "auto", nvenc_missing=lambda: None, nvenc=opens("on the host"), nvenc_on_gpu=opens("on the GPU")
    )
    shown = Shown(codec)
    there = DeviceImage.__new__(DeviceImage)
    there.picture = DevicePicture(0, 64, 64, 48, 0, 64)
    on_host = np.zeros((48, 64, 3), np.uint8)
    for n, kind in enumerate(pictures):
        shown.publish(there if kind == "g" else on_host, float(n))
    assert found == opened
    assert shown.encoder() == "nvenc"


def test_another_size_makes_another_encoder() -> None:
    shown = Shown(CodecChoice("a", "x264"))
    sizes = ((64, 48), (64, 48), (80, 48), (64, 48))
    packets = [shown.publish(np.zeros((high, wide, 3), np.uint8), float(n)) for n, (wide, high) in enumerate(sizes)]
    assert [packet.keyframe for packet in packets] == [True, False, True, True]
