"""An image in device memory, and the conversion between YUV and BGR."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightd.engines.cuda.launch.layout import BGR_TO_YUV, PICTURE, YUV_TO_BGR, record


class Matrix(StrEnum):
    """The Y'CbCr matrix: most standard-definition cameras use BT.601, high-definition ones BT.709."""

    BT601 = "bt601"
    BT709 = "bt709"


@dataclass(frozen=True, slots=True)
class DevicePicture:
    """An NV12 image (`chroma` is an address) or BGR image (`chroma` is None) in device memory. Does not own the memory,
    which must stay until the work that reads it is done.

    Addresses are device pointers; `pitch` is bytes between rows; `width` and `height` are pixels. NV12's chroma rows
    hold interleaved U and V at half the resolution each way, rounded up. `full_range`: luma is 0-255 instead of 16-235.
    """

    plane: int
    pitch: int
    width: int
    height: int
    chroma: int | None = None
    chroma_pitch: int = 0
    matrix: Matrix = Matrix.BT601
    full_range: bool = False

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"an image must have at least one pixel, not {self.width}x{self.height}")
        least = self.width if self.chroma is not None else 3 * self.width
        if self.pitch < least or (self.chroma is not None and self.chroma_pitch < 2 * ((self.width + 1) // 2)):
            raise ValueError(f"rows of {self.pitch} and {self.chroma_pitch} bytes cannot hold {self.width} pixels")

    @property
    def nv12(self) -> bool:
        return self.chroma is not None

    def part(self, left: int, top: int, right: int, bottom: int) -> DevicePicture:
        """Returns a part of the image; right and bottom are exclusive. Chroma is shared by two pixels each way, so the
        corner of an NV12 image's part must be even: raises ValueError for another."""
        sized = replace(self, width=right - left, height=bottom - top)
        if self.chroma is None:
            return replace(sized, plane=self.plane + top * self.pitch + 3 * left)
        if left % 2 or top % 2:
            raise ValueError(f"a part of an NV12 image starts at even pixels, not at ({left}, {top})")
        chroma = self.chroma + top // 2 * self.chroma_pitch + left
        return replace(sized, plane=self.plane + top * self.pitch + left, chroma=chroma)

    def record(self) -> NDArray[Any]:
        """Returns the struct `Picture`."""
        return record(
            PICTURE,
            plane=self.plane,
            chroma=self.chroma or 0,
            pitch=self.pitch,
            chroma_pitch=self.chroma_pitch,
            width=self.width,
            height=self.height,
            nv12=self.nv12,
            yuv=yuv_to_bgr(self.matrix, self.full_range),
        )


Rectangle = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class PictureSheet:
    """Parts of an image in device memory, next to each other on an image of `width` x `height` px, with padding between
    them. `parts`: for each its left, top, right and bottom (exclusive) in `picture`, and its left, top, width and
    height on the sheet, to which it is resized."""

    picture: DevicePicture
    width: int
    height: int
    parts: Sequence[tuple[Rectangle, Rectangle]]


def _luma_weights(matrix: Matrix) -> tuple[float, float]:
    """Returns the weights of red and blue in luma: ITU-R BT.601-7 2.5.1, BT.709-6 item 3.2."""
    return (0.299, 0.114) if matrix is Matrix.BT601 else (0.2126, 0.0722)


@lru_cache(maxsize=4)
def yuv_to_bgr(matrix: Matrix, full_range: bool) -> NDArray[Any]:
    """Returns the struct `YuvToBgr`: OpenCV's own coefficients for BT.601 limited range, and equivalent ones for the
    others."""
    if matrix is Matrix.BT601 and not full_range:
        # OpenCV's integers come from coefficients rounded to three decimals.
        coefficients = (16, 1220542, 2116026, -409993, -852492, 1673527)
        return _frozen(np.array(coefficients, np.int32).view(YUV_TO_BGR).reshape(()))
    red, blue = _luma_weights(matrix)
    green = 1 - red - blue
    luma, chroma = (1.0, 1.0) if full_range else (255 / 219, 255 / 224)
    return _frozen(
        record(
            YUV_TO_BGR,
            luma_offset=0 if full_range else 16,
            luma=_fixed(luma),
            blue_u=_fixed(2 * (1 - blue) * chroma),
            green_u=_fixed(-2 * (1 - blue) * blue / green * chroma),
            green_v=_fixed(-2 * (1 - red) * red / green * chroma),
            red_v=_fixed(2 * (1 - red) * chroma),
        )
    )


@lru_cache(maxsize=4)
def bgr_to_yuv(matrix: Matrix, full_range: bool) -> NDArray[Any]:
    """Returns the struct `BgrToYuv`: OpenCV's own coefficients for BT.601 limited range, and equivalent ones for the
    others."""
    half, middle = 1 << 19, (128 << 20) + (1 << 19)
    if matrix is Matrix.BT601 and not full_range:
        y, u, v = (102760, 528482, 269484), (460324, -305135, -155188), (-74448, -385875, 460324)
        return _frozen(record(BGR_TO_YUV, y=(*y, (16 << 20) + half), u=(*u, middle), v=(*v, middle)))
    red, blue = _luma_weights(matrix)
    green = 1 - red - blue
    luma, chroma = (1.0, 1.0) if full_range else (219 / 255, 224 / 255)
    y = _weights((blue, green, red), luma)
    u = _weights((1 - blue, -green, -red), chroma / (2 * (1 - blue)))
    v = _weights((-blue, -green, 1 - red), chroma / (2 * (1 - red)))
    offset = (0 if full_range else 16 << 20) + half
    return _frozen(record(BGR_TO_YUV, y=(*y, offset), u=(*u, middle), v=(*v, middle)))


def _weights(of_bgr: tuple[float, float, float], scale: float) -> tuple[int, int, int]:
    blue, green, red = of_bgr
    return _fixed(blue * scale), _fixed(green * scale), _fixed(red * scale)


def _fixed(value: float) -> int:
    """Converts to 12.20 fixed point."""
    return round(value * 2**20)


def _frozen(struct: NDArray[Any]) -> NDArray[Any]:
    struct.flags.writeable = False
    return struct
