"""The colours of a converted image."""

from __future__ import annotations

import gc
import weakref
from dataclasses import dataclass
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from sightd.daemon.capture.picture import MOST_PIXELS, DisplayGeometry, lazily, luma_of, to_bgr, turns_of_matrix
from sightd.plugins.api import Frame

pytestmark = pytest.mark.computing

BT601, BT709 = (0.299, 0.114), (0.2126, 0.0722)
"""Weights of red and blue in the luma, ITU-R BT.601 and BT.709."""


@dataclass(frozen=True)
class Tags:
    """A frame's colour metadata, with FFmpeg's numbers, and what it means."""

    colorspace: int
    weights: tuple[float, float]
    full: bool


def grey_to_colour(width: int = 64, height: int = 48) -> av.VideoFrame:
    """Returns a yuv420p frame of smooth, moderate colours, so that none is clipped and chroma sampling does not
    matter."""
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane, (low, high) in zip(frame.planes, ((90, 160), (110, 140), (115, 145)), strict=True):
        ramp = np.linspace(low, high, plane.line_size).astype(np.uint8)
        plane.update(np.tile(ramp, (plane.height, 1)).tobytes())
    return frame


def by_formula(frame: av.VideoFrame, tags: Tags) -> NDArray[np.float64]:
    """Returns BGR by the formula of ITU-R BT.601 and BT.709, with repeated chroma."""
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
        """Replaces a decoded frame, because av.VideoFrame allows no weak reference."""

        width, height = 64, 48

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


@pytest.mark.parametrize("tags", [(2, False), (1, False), (5, True)], ids=["untagged", "709", "601 full"])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "nv12", "yuv444p"])
def test_luma_is_the_decoder_s_plane_and_nearly_the_same_once_the_frame_is_converted(
    tags: tuple[int, bool], pixel_format: str
) -> None:
    image = np.random.default_rng(1).integers(60, 200, (6, 8, 3), np.uint8)
    image = np.asarray(cv2.resize(image, (64, 48)), np.uint8)
    decoded = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(
        format=pixel_format,
        dst_colorspace=Colorspace.ITU709 if tags[0] == 1 else Colorspace.ITU601,
        dst_color_range=ColorRange.JPEG if tags[1] else ColorRange.MPEG,
    )
    decoded.colorspace, decoded.color_range = tags[0], ColorRange.JPEG if tags[1] else ColorRange.MPEG
    frame = Frame("front", 0, (64, 48), lazily(decoded), captured_at=0.0, wall_time=0.0, luma=luma_of(decoded))
    plane = frame.luma().copy()
    frame.host()
    difference = plane.astype(int) - frame.luma()
    assert np.abs(difference).max() <= 3
    assert difference.std() < 1


def test_a_frame_that_is_shown_turned_has_its_luma_turned() -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    image[:, :20] = 200
    decoded = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format="yuv420p")
    turned = DisplayGeometry(transposed=True)
    assert luma_of(decoded, turned) is None
    frame = Frame("front", 0, (48, 64), lazily(decoded, turned), captured_at=0.0, wall_time=0.0)
    assert frame.luma().shape == (64, 48)
    assert frame.luma()[:16].mean() > 180
    assert frame.luma()[24:].mean() < 10


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ((1, 0, 0, 0, 1, 0), [[1, 2], [3, 4]]),
        ((0, 1, 0, -1, 0, 0), [[3, 1], [4, 2]]),
        ((-1, 0, 0, 0, -1, 0), [[4, 3], [2, 1]]),
        ((0, -1, 0, 1, 0, 0), [[2, 4], [1, 3]]),
        ((-1, 0, 0, 0, 1, 0), [[2, 1], [4, 3]]),
        ((1, 0, 0, 0, -1, 0), [[3, 4], [1, 2]]),
        ((0, 1, 0, 1, 0, 0), [[1, 3], [2, 4]]),
        ((0, -1, 0, -1, 0, 0), [[4, 2], [3, 1]]),
    ],
    ids=["0", "90 clockwise", "180", "270 clockwise", "mirrored", "upside down", "transposed", "anti-transposed"],
)
def test_a_display_matrix_turns_the_picture_as_iso_14496_says(
    matrix: tuple[int, ...], expected: list[list[int]]
) -> None:
    transposed, flip_x, flip_y = turns_of_matrix([65536 * cell for cell in matrix])
    geometry = DisplayGeometry(Fraction(1), transposed, flip_x, flip_y)
    image = np.repeat(np.array([[[1], [2]], [[3], [4]]], np.uint8), 3, axis=2)
    assert geometry.upright(image)[:, :, 0].tolist() == expected
    assert geometry.size(640, 480) == ((480, 640) if transposed else (640, 480))


@pytest.mark.parametrize(
    ("aspect", "size", "shown"),
    [
        (Fraction(1), (641, 361), (641, 361)),
        (Fraction(64, 45), (720, 576), (1024, 576)),
        (Fraction(16, 15), (720, 576), (768, 576)),
        (Fraction(8, 9), (720, 480), (720, 540)),
        (Fraction(4), (6000, 4000), (6000, 1000)),
    ],
    ids=["square", "PAL 16:9", "PAL 4:3", "NTSC 4:3", "bounded"],
)
def test_oblong_pixels_become_square_and_none_is_lost(
    aspect: Fraction, size: tuple[int, int], shown: tuple[int, int]
) -> None:
    assert DisplayGeometry(aspect).size(*size) == shown
    assert shown[0] * shown[1] <= MOST_PIXELS


def test_a_picture_of_oblong_pixels_is_stretched_before_it_is_turned() -> None:
    frame = grey_to_colour()
    geometry = DisplayGeometry(Fraction(3, 2), transposed=True)
    assert to_bgr(frame, geometry).shape == (96, 48, 3)
    assert geometry.applied(to_bgr(frame)).shape == (96, 48, 3)
