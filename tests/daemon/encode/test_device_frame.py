"""Frames on a GPU reach the encoder: NVENC in place, x264 by one download. On the stand-in driver."""

from __future__ import annotations

import gc
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np
import pytest
from av.video.codeccontext import VideoCodecContext

from sightd.daemon.config.model import Output
from sightd.daemon.encode import encoder as module
from sightd.daemon.encode.choice import CodecChoice
from sightd.daemon.encode.codecs import ON_GPU, EncoderError, open_nvenc_on_gpu, open_x264
from sightd.daemon.encode.encoder import H264Encoder, device_frame, planes
from sightd.engines.cuda.dlpack import lent
from sightd.engines.cuda.image import Downloads
from tests.engines.cuda.pictures import smooth
from tests.support.device_engine import open_stand_in_gpu
from tests.support.device_pictures import device_image, nv12_rows
from tests.support.fake_cuda import on_stand_in


@on_stand_in()
def test_x264_gets_it_by_one_download(kernels: bytes) -> None:
    with TemporaryDirectory() as folder:
        gpu = open_stand_in_gpu(Path(folder))
        downloads = Downloads(gpu.device)
        image = smooth(320, 180)
        there = device_image(gpu.device, image, downloads)
        on_host, on_gpu = (H264Encoder(320, 180, 25, Output(), open_x264) for _ in range(2))
        expected = on_host.encode(image, 1.0)
        copies = gpu.device.transfers.copies
        assert on_gpu.encode(there, 1.0) == expected
        assert gpu.device.transfers.copies == copies + 1
        del there
        gc.collect()
        downloads.close()
        gpu.device.close()


@on_stand_in()
def test_ffmpeg_s_frame_lies_in_the_very_memory_and_holds_it(kernels: bytes) -> None:
    """What NVENC gets, except for the device: the stand-in's memory is host memory, which FFmpeg can read here."""
    with TemporaryDirectory() as folder:
        gpu = open_stand_in_gpu(Path(folder))
        downloads = Downloads(gpu.device)
        image = smooth(320, 180)
        there = device_image(gpu.device, image, downloads)
        copies = gpu.device.transfers.copies
        frame = av.VideoFrame.from_dlpack(planes(there, (1, 0)), format="nv12")
        np.testing.assert_array_equal(frame.to_ndarray(), nv12_rows(image))
        assert gpu.device.transfers.copies == copies
        del there
        gc.collect()
        np.testing.assert_array_equal(frame.to_ndarray(), nv12_rows(image), "the frame holds the picture")
        del frame
        assert lent() == 0
        downloads.close()
        gpu.device.close()


@on_stand_in()
def test_where_ffmpeg_cannot_take_it_the_camera_goes_on_with_x264(kernels: bytes) -> None:
    """FFmpeg finds functions missing in the stand-in, as on a machine with a broken driver."""
    with TemporaryDirectory() as folder:
        gpu = open_stand_in_gpu(Path(folder))
        downloads = Downloads(gpu.device)
        there = device_image(gpu.device, smooth(320, 180), downloads)
        with pytest.raises(EncoderError, match="cannot use images on cuda:0"):
            device_frame(there)
        module._context.cache_clear()
        choice = CodecChoice("a", "auto", nvenc_missing=lambda: None)
        encoder = H264Encoder(320, 180, 25, Output(), choice.open_on_gpu)
        with pytest.raises(EncoderError) as told:
            encoder.encode(there, 1.0)
        assert choice.failed(told.value)
        assert choice.name == "x264"
        assert H264Encoder(320, 180, 25, Output(), choice.open_on_gpu).encode(there, 2.0)[0].keyframe
        del there, told, encoder
        module._context.cache_clear()
        gc.collect()
        downloads.close()
        gpu.device.close()


def test_nvenc_for_gpu_pictures_opens_with_the_first() -> None:
    context = open_nvenc_on_gpu(1280, 720, 25, Output())
    assert (context.pix_fmt, context.is_open) == (ON_GPU, False)


def test_a_choice_opens_the_one_for_where_pictures_are() -> None:
    def opened_as(kind: str) -> Any:
        def opening(*_: object) -> VideoCodecContext:
            asked.append(kind)
            return open_x264(64, 48, 25, Output())

        return opening

    asked: list[str] = []
    choice = CodecChoice(
        "a", "auto", nvenc_missing=lambda: None, nvenc=opened_as("host"), nvenc_on_gpu=opened_as("gpu")
    )
    choice.open(64, 48, 25, Output())
    choice.open_on_gpu(64, 48, 25, Output())
    assert asked == ["host", "gpu"]
