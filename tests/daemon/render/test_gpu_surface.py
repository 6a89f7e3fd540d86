"""A frame on a GPU is drawn on there, and looks like one that is drawn on by the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import pytest

from sightd.daemon.config.model import Render
from sightd.daemon.encode.encoder import i420_for, nv12_to_i420, to_i420
from sightd.daemon.render.renderer import Renderer
from sightd.engines.cuda.driver import CudaDevice
from sightd.engines.cuda.gpus import Gpu
from sightd.engines.cuda.image import DeviceImage, Downloads
from sightd.engines.cuda.pipelines.drawing import FrameDrawing
from sightd.plugins.api import Frame, FrameOverride, Image, PrivacyMask, Results
from tests.daemon.render.scenes import frame, grey, tracks
from tests.engines.cuda.pictures import smooth
from tests.support.device_engine import open_stand_in_gpu
from tests.support.device_pictures import device_frame, device_image, nv12_round_trip
from tests.support.fake_cuda import on_stand_in

BOXES = ((60, 150, 200, 340), (300, 80, 520, 330), (400, 200, 416, 212), (-30, 240, 50, 400), (560, 2, 700, 90))


@contextmanager
def gpu_and_downloads() -> Iterator[tuple[Gpu, Downloads]]:
    with TemporaryDirectory() as folder:
        gpu = open_stand_in_gpu(Path(folder))
        downloads = Downloads(gpu.device)
        yield gpu, downloads
        downloads.close()
        gpu.device.close()


def encoded(picture: Image | DeviceImage) -> Image:
    """Returns what an encoder gets: I420."""
    if isinstance(picture, DeviceImage):
        planar = i420_for(picture.picture.width, picture.picture.height)
        nv12_to_i420(picture.nv12(), planar)
    else:
        planar = i420_for(picture.shape[1], picture.shape[0])
        to_i420(picture, planar)
    return planar


def both(
    device: CudaDevice,
    drawing: FrameDrawing,
    downloads: Downloads,
    image: Image,
    options: Render,
    max_height: int | None = None,
) -> tuple[Image, Image]:
    """Renders one second of a walking track on the CPU and on the GPU. Returns the final image of each."""
    on_host = nv12_round_trip(image)
    on_cpu, on_gpu = (
        Renderer("Haustür 正門", options, max_height),
        Renderer("Haustür 正門", options, max_height, drawing),
    )
    for n in range(0, 26, 5):
        moved = [(x1 + 2 * n, y1 - n, x2 + 2 * n, y2 - n) for x1, y1, x2, y2 in BOXES]
        results = Results(tracks(*moved))
        expected = on_cpu.render(frame(on_host, at=100 + n / 25), results, fps=25.0)
        before = device.transfers.bytes_to_host
        there = device_frame(device_image(device, image, downloads), on_host, captured_at=100 + n / 25)
        found = on_gpu.render(there, results, fps=25.0).picture()
        assert device.transfers.bytes_to_host == before, "drawing fetches nothing"
    return encoded(expected.picture()), encoded(found)


def differences(one: Image, other: Image) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Returns the absolute differences of luma and of chroma."""
    off = np.abs(one.astype(int) - other)
    return off[: len(off) * 2 // 3], off[len(off) * 2 // 3 :]


@on_stand_in()
def test_it_looks_as_on_the_cpu(kernels: bytes) -> None:
    """Except for chroma at edges: the GPU's is the mean of four pixels."""
    with gpu_and_downloads() as (gpu, downloads):
        drawing = FrameDrawing(gpu)
        for options in (Render(trails=False), Render(trails=False, labels=False, scores=False, ids=False)):
            luma, chroma = differences(*both(gpu.device, drawing, downloads, grey(640, 360, 120), options))
            assert luma.max() <= 1
            assert chroma.mean() < 0.7
        plain = Render(boxes=False, labels=False, scores=False, ids=False, trails=False, status=False)
        luma, chroma = differences(*both(gpu.device, drawing, downloads, smooth(640, 360), plain))
        assert max(luma.max(), chroma.max()) <= 1
        drawing.close()
        drawing.close()


@on_stand_in()
def test_trails_lie_where_the_cpu_draws_them_and_fade_alike(kernels: bytes) -> None:
    """The CPU mixes a trail's colour with the image's before drawing, the GPU while drawing."""
    bare = Render(boxes=False, labels=False, scores=False, ids=False, status=False)
    with gpu_and_downloads() as (gpu, downloads):
        drawing = FrameDrawing(gpu)
        luma = slice(360)
        on_cpu, on_gpu = (
            np.abs(one[luma].astype(int) - one[0, 0])
            for one in both(gpu.device, drawing, downloads, grey(640, 360), bare)
        )
        assert np.sum(on_gpu > 8) == pytest.approx(np.sum(on_cpu > 8), rel=0.15)
        around = cv2.dilate((on_cpu > 8).astype(np.uint8), np.ones((3, 3)))
        assert np.all(around[on_gpu > 8])
        crossed = on_cpu.max(axis=0) > 8  # columns
        strengths = on_cpu.max(axis=0)[crossed], on_gpu.max(axis=0)[crossed]
        assert np.corrcoef(*strengths)[0, 1] > 0.8
        assert strengths[0].max() == strengths[1].max(), "at its new end"
        drawing.close()


@on_stand_in()
def test_it_is_scaled_down_there(kernels: bytes) -> None:
    with gpu_and_downloads() as (gpu, downloads):
        drawing = FrameDrawing(gpu)
        expected, found = both(gpu.device, drawing, downloads, smooth(640, 360), Render(trails=False), max_height=240)
        assert found.shape == (360, 426)
        luma, chroma = differences(expected, found)
        assert luma.max() <= 2
        assert luma.mean() < 0.3
        assert chroma.mean() < 2.0, "edges"
        drawing.close()


@on_stand_in()
def test_regions_are_hidden_there_as_on_the_cpu(kernels: bytes) -> None:
    with gpu_and_downloads() as (gpu, downloads):
        drawing = FrameDrawing(gpu)
        image = smooth(640, 360)
        on_host, hidden = nv12_round_trip(image), PrivacyMask(np.array([[100, 50, 301, 333], [580, 300, 900, 900]]))
        expected = Renderer("a", Render(status=False)).render(frame(on_host), Results(hidden), fps=None).picture()
        there = device_frame(device_image(gpu.device, image, downloads), on_host)
        found = Renderer("a", Render(status=False), None, drawing).render(there, Results(hidden), fps=None).picture()
        luma, chroma = differences(encoded(expected), encoded(found))
        assert max(luma.max(), chroma.max()) <= 3, "means of other colours: luma and chroma there, BGR here"
        del there
        drawing.close()


@on_stand_in()
def test_what_the_gpu_cannot_show_well_comes_to_the_host(kernels: bytes) -> None:
    """An image more than twice as large, and one that a plug-in substituted for the frame."""
    with gpu_and_downloads() as (gpu, downloads):
        drawing = FrameDrawing(gpu)
        image = smooth(640, 360)
        there = device_frame(device_image(gpu.device, image, downloads), image)
        small = Renderer("a", Render(), 120, drawing).render(there, Results(), fps=None).picture()
        assert isinstance(small, np.ndarray)
        painted = Results(FrameOverride(grey(640, 360, 200)))
        replaced = Renderer("a", Render(status=False), None, drawing).render(there, painted, fps=None).picture()
        assert isinstance(replaced, np.ndarray)
        assert np.all(replaced == 200)
        del there
        drawing.close()


@on_stand_in()
def test_a_plug_in_that_draws_into_the_image_has_it_fetched_with_all_that_was_drawn(kernels: bytes) -> None:
    with gpu_and_downloads() as (gpu, downloads):
        drawing = FrameDrawing(gpu)
        image = grey(640, 360, 120)
        there = device_frame(device_image(gpu.device, image, downloads), image)
        canvas = Renderer("a", Render(status=False), None, drawing).render(there, Results(tracks(BOXES[1])), fps=None)
        canvas.image[10:20, 10:20] = 255
        canvas.text((20, 300), "drawn after", (60, 220, 80))
        end = canvas.picture()
        assert isinstance(end, np.ndarray)
        assert end is canvas.image
        assert np.all(end[12:18, 12:18] == 255)
        assert np.abs(end[78:84, 330:480].astype(int) - 120).max() > 40, "the box"
        assert np.abs(end[300:310, 30:60].astype(int) - 120).max() > 40, "the text"
        del there, canvas
        drawing.close()


@on_stand_in()
def test_another_gpu_s_frame_is_drawn_on_by_the_cpu(kernels: bytes) -> None:
    with gpu_and_downloads() as (gpu, _):
        drawing = FrameDrawing(gpu)
        image = grey(64, 48)
        of_other = DeviceImage.__new__(DeviceImage)
        of_other.ordinal = 1
        there = Frame("a", 0, (64, 48), image.copy, captured_at=0.0, wall_time=0.0, on_device=of_other)
        drawn = Renderer("a", Render(), None, drawing).render(there, Results(), fps=None).picture()
        assert isinstance(drawn, np.ndarray)
        with pytest.raises(ValueError, match="is on cuda:1"):
            drawing.draw(of_other, 64, 48, [])
        drawing.close()
