"""The colours of a converted picture."""

from __future__ import annotations

import gc
import weakref
from dataclasses import dataclass

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from daemon.capture.picture import lazily, to_bgr
from plugins.types import Frame

BT601, BT709 = (0.299, 0.114), (0.2126, 0.0722)
"""Weights of red and blue in the luma, ITU-R BT.601 and BT.709."""


@dataclass(frozen=True)
class Tags:
    """What a frame says of its colours, as FFmpeg numbers it, and what that means."""

    colorspace: int
    weights: tuple[float, float]
    full: bool


def grey_to_colour(width: int = 64, height: int = 48) -> av.VideoFrame:
    """A yuv420p frame of smooth, moderate colours, so that none is clipped and chroma sampling plays no part."""
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane, (low, high) in zip(frame.planes, ((90, 160), (110, 140), (115, 145)), strict=True):
        ramp = np.linspace(low, high, plane.line_size).astype(np.uint8)
        plane.update(np.tile(ramp, (plane.height, 1)).tobytes())
    return frame


def by_formula(frame: av.VideoFrame, tags: Tags) -> NDArray[np.float64]:
    """BGR by the formula of ITU-R BT.601 and BT.709, chroma repeated."""
    y, u, v = (
        np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:, : plane.width].astype(float)
        for plane in frame.planes
    )
    u, v = (np.kron(plane, np.ones((2, 2)))[: y.shape[0], : y.shape[1]] - 128 for plane in (u, v))
    if not tags.full:
        y, u, v = (y - 16) * 255 / 219, u * 255 / 224, v * 255 / 224
    red, blue = tags.weights
    r, b = y + 2 * (1 - red) * v, y + 2 * (1 - blue) * u
    return np.stack([b, (y - red * r - blue * b) / (1 - red - blue), r], axis=-1)


@pytest.mark.parametrize(
    "tags",
    [Tags(2, BT601, False), Tags(6, BT601, False), Tags(1, BT709, False), Tags(5, BT601, True), Tags(1, BT709, True)],
    ids=["untagged", "601", "709", "601 full", "709 full"],
)
def test_a_frame_is_converted_by_its_own_matrix_and_range(tags: Tags) -> None:
    frame = grey_to_colour()
    frame.colorspace = tags.colorspace
    frame.color_range = ColorRange.JPEG if tags.full else ColorRange.MPEG
    assert np.abs(to_bgr(frame) - by_formula(frame, tags)).max() <= 3


def test_an_untagged_frame_looks_as_opencv_would_show_it() -> None:
    frame = grey_to_colour()
    opencv = cv2.cvtColor(frame.to_ndarray(), cv2.COLOR_YUV2BGR_I420)
    assert np.abs(to_bgr(frame).astype(int) - opencv).max() <= 3


@pytest.mark.parametrize(
    "pixel_format", ["yuvj420p", "yuv422p", "yuv444p", "yuv420p10le", "nv12", "yuyv422", "rgb24", "bgr24"]
)
@pytest.mark.parametrize("size", [(64, 48), (62, 46)])
def test_every_pixel_format_gives_the_same_picture(pixel_format: str, size: tuple[int, int]) -> None:
    width, height = size
    x, y = np.meshgrid(np.linspace(60, 200, width), np.linspace(60, 200, height))
    image = np.stack([x, y, (x + y) / 2], axis=-1).astype(np.uint8)
    frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format=pixel_format)
    assert np.abs(to_bgr(frame).astype(int) - image).max() <= 6


def test_odd_sizes_keep_every_line_and_column() -> None:
    image = np.full((45, 61, 3), 120, np.uint8)
    frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format="yuv420p")
    assert to_bgr(frame).shape == (45, 61, 3)


def test_a_frame_lets_go_of_the_decoder_s_buffer_once_it_is_converted() -> None:
    class Decoder:
        """Stands for a decoded frame: av.VideoFrame takes no weak reference."""

        def to_ndarray(self, **_: object) -> NDArray[np.uint8]:
            return np.zeros((48, 64, 3), np.uint8)

    buffer = Decoder()
    alive = weakref.ref(buffer)
    frame = Frame("front", 0, (64, 48), lazily(buffer), captured_at=0.0, wall_time=0.0)  # type: ignore[arg-type]
    del buffer
    gc.collect()
    assert alive() is not None
    assert not frame.host().flags.writeable
    gc.collect()
    assert alive() is None
