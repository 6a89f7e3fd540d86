"""Frames decoded by NVDEC stay on the device, match the stream, and release their memory: real PyCUDA on the stand-in
driver, with a stand-in for PyNvVideoCodec."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from sightd.engines.cuda.driver import open_device
from sightd.engines.cuda.gpus import Gpus, no_gpu
from sightd.engines.cuda.launch.picture import Matrix
from sightd.engines.cuda.nvdec import Nvdec, NvdecError, NvdecMissingError, open_nvdec
from tests.support.fake_cuda import on_stand_in
from tests.support.fake_cuda.control import alive
from tests.support.fake_nvcodec import SURFACES, Codec, Library, PixelFormat

SIZE = (320, 180)


def film(count: int = 8) -> Iterator[bytes]:
    """Yields H.264 access units; each frame has a different grey level."""
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = *SIZE, "yuv420p"
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "10"}
    encoder.framerate = Fraction(25)
    for number in range(count):
        grey = np.full((SIZE[1], SIZE[0], 3), 40 + 20 * (number % 10), np.uint8)
        frame = av.VideoFrame.from_ndarray(grey, format="bgr24")
        frame.pts = number
        for packet in encoder.encode(frame):
            yield bytes(packet)


def luma(image: NDArray[np.uint8]) -> float:
    return float(image[: SIZE[1], : SIZE[0]].mean())


@on_stand_in()
def test_each_picture_is_there_at_once_and_stays_as_it_was(kernels: bytes) -> None:
    device = open_device("cuda:0")
    nvdec = Nvdec(device, Library())
    decoder = nvdec.decoder("h264")
    pictures = [one for n, unit in enumerate(film()) for one in decoder.decode(unit, n, Matrix.BT601, False)]
    assert [pts for _, pts in pictures] == list(range(8))
    images = [image for image, _ in pictures]
    del pictures
    assert len(images) == 8 > SURFACES, "more than the decoder has surfaces for"
    found = [luma(image.nv12()) for image in images]
    assert np.allclose(np.diff(found), 20 * 219 / 255, atol=1.5), found
    picture = images[0].picture
    assert (picture.width, picture.height, picture.pitch) == (*SIZE, 512)
    assert picture.chroma == picture.plane + 512 * SIZE[1]
    assert images[0].nv12().shape == (SIZE[1] * 3 // 2, SIZE[0])
    del images
    decoder.close()
    decoder.close()
    nvdec.close()
    device.close()


@on_stand_in()
def test_decoding_copies_nothing_to_or_from_the_host_and_showing_does_once(kernels: bytes) -> None:
    device = open_device("cuda:0")
    nvdec = Nvdec(device, Library())
    decoder = nvdec.decoder("h264")
    ((image, _),) = decoder.decode(next(film()), 0, Matrix.BT601, False)
    assert device.transfers.copies == 0
    image.nv12()
    assert (device.transfers.copies, device.transfers.bytes_to_host) == (1, 512 * SIZE[1] * 3 // 2)
    del image
    decoder.close()
    nvdec.close()
    device.close()


@on_stand_in()
def test_a_steady_stream_takes_the_memory_of_pictures_that_nobody_holds(kernels: bytes) -> None:
    device = open_device("cuda:0")
    nvdec = Nvdec(device, Library())
    decoder = nvdec.decoder("h264")
    made = []
    for unit in film(40):
        image = decoder.decode(unit, 0, Matrix.BT601, False)
        made.append(device.memory.made)
    del image
    gc.collect()
    assert made[-1] <= 3, made
    decoder.close()
    nvdec.close()
    device.close()
    assert not alive()


@on_stand_in()
def test_it_decodes_in_our_context_and_on_our_stream_without_delay(kernels: bytes) -> None:
    device, library = open_device("cuda:0"), Library()
    nvdec = Nvdec(device, library)
    decoder = nvdec.decoder("hevc")
    (asked,) = library.made
    assert asked["codec"] is Codec.HEVC
    assert asked["cudacontext"] == device.context_handle != 0
    assert asked["cudastream"] != 0
    assert (asked["usedevicememory"], asked["latency"]) == (True, 1)
    decoder.close()
    nvdec.close()
    device.close()


@on_stand_in()
def test_what_it_cannot_decode_is_reported_with_the_way_out(kernels: bytes) -> None:
    device = open_device("cuda:0")
    nvdec = Nvdec(device, Library(PixelFormat.P016))
    with pytest.raises(NvdecError, match="not mjpeg: set `decoder: cpu`"):
        nvdec.decoder("mjpeg")
    decoder = nvdec.decoder("h264")
    with pytest.raises(NvdecError, match="could not decode a packet: CUDA_ERROR_UNKNOWN"):
        decoder.decode(b"broken", 0, Matrix.BT601, False)
    with pytest.raises(NvdecError, match="only 8-bit 4:2:0"):
        decoder.decode(next(film()), 0, Matrix.BT601, False)
    decoder.close()
    with pytest.raises(NvdecError, match="closed"):
        decoder.decode(next(film()), 0, Matrix.BT601, False)
    nvdec.close()
    device.close()


@pytest.mark.skipif(no_gpu() is None, reason="this machine has an NVIDIA GPU")
def test_without_a_gpu_nothing_is_loaded() -> None:
    def loaded() -> None:
        raise AssertionError("PyNvVideoCodec was loaded")

    with pytest.raises(NvdecMissingError, match="no NVIDIA GPU found"):
        open_nvdec(Gpus(), "cuda:0", loaded)


def test_a_missing_library_is_reported_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightd.engines.cuda.nvdec.no_gpu", lambda: None)
    monkeypatch.setitem(sys.modules, "PyNvVideoCodec", None)
    with pytest.raises(NvdecMissingError, match="pip install"):
        open_nvdec(Gpus(), "cuda:0")
