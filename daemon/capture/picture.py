"""The BGR picture of a decoded frame: converted when first asked for, upright and with square pixels."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import cast

import av
import cv2
import numpy as np
from av.sidedata.sidedata import SideData, SideDataContainer

from sightd.plugins.types import Image

MOST_PIXELS = 36_000_000
"""8192x4320, and a little: what a picture of more would take, a source that lies could use up the machine with."""
_WIDEST_PIXEL = 4
"""Pixels more oblong than 4:1 or 1:4 are an error of the file: no camera or format has them."""
_NEARLY_SQUARE = Fraction(1, 100)
"""Phones state ratios such as 8430:8437, which come from rounding."""
_UNTURNED = (False, False, False)
_TURNS_OF_EXIF = {
    2: (False, True, False), 3: (False, True, True), 4: (False, False, True),
    5: (True, False, False), 6: (True, True, False), 7: (True, True, True), 8: (True, False, True),
}  # fmt: skip
"""Orientations as EXIF numbers them, but upright, to `transposed`, `flip_x`, `flip_y`."""
_TURNS = {90: (True, False, True), 180: (False, True, True), 270: (True, True, False)}
"""Counterclockwise degrees to `transposed`, `flip_x`, `flip_y`."""

_side_data = cast("Callable[[av.VideoFrame], SideDataContainer]", SideDataContainer)
"""Lists a frame's side data. `frame.side_data` would make the frame part of a reference cycle: its memory would then
stay allocated until the garbage collector runs, which does not count bytes and lets hundreds of frames pile up."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """How decoded pixels become the picture that is shown: stretched to square pixels, transposed, then flipped.

    `aspect` is a pixel's width by its height, as decoded. `flip_x` swaps left and right, `flip_y` top and bottom.
    """

    aspect: Fraction = Fraction(1)
    transposed: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @property
    def turned(self) -> bool:
        return self.transposed or self.flip_x or self.flip_y

    def stretched(self, width: int, height: int) -> tuple[int, int]:
        """Width and height with square pixels, before turning: one side grows, so no detail is lost."""
        if self.aspect == 1:
            return width, height
        if self.aspect > 1:
            grown = _even(width * self.aspect), height
            shrunk = width, _even(height / self.aspect)
        else:
            grown = width, _even(height / self.aspect)
            shrunk = _even(width * self.aspect), height
        return grown if grown[0] * grown[1] <= MOST_PIXELS else shrunk

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the picture that is shown, of one decoded as `width` x `height`."""
        wide, high = self.stretched(width, height)
        return (high, wide) if self.transposed else (wide, high)

    def applied(self, image: Image) -> Image:
        """A picture as decoded, stretched and turned; the same object if there is nothing to do."""
        height, width = image.shape[:2]
        if (size := self.stretched(width, height)) != (width, height):
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)
        return self.upright(image)

    def upright(self, image: Image) -> Image:
        """The picture turned; the same object if there is nothing to turn."""
        turned = cv2.transpose(image) if self.transposed else image
        if self.flip_x or self.flip_y:
            turned = cv2.flip(turned, -1 if self.flip_x and self.flip_y else int(self.flip_x))
        return np.asarray(turned, np.uint8)


PLAIN = Geometry()


def with_aspect(geometry: Geometry, aspect: Fraction | None) -> Geometry:
    """The geometry with the sample aspect ratio that a stream states (None or nonsense: square)."""
    square = Fraction(1)
    aspect = aspect or square
    usable = Fraction(1, _WIDEST_PIXEL) <= aspect <= _WIDEST_PIXEL and abs(aspect - square) > _NEARLY_SQUARE
    return replace(geometry, aspect=aspect if usable else square)


def turned_as(geometry: Geometry, frame: av.VideoFrame) -> Geometry:
    """The geometry turned as the frame's display matrix says, to the nearest quarter turn; the same if it says nothing:
    streams state a turn now and then."""
    turns = _turns(frame)
    if turns is None or turns == (geometry.transposed, geometry.flip_x, geometry.flip_y):
        return geometry
    return Geometry(geometry.aspect, *turns)


def turned_alone(geometry: Geometry, frame: av.VideoFrame, orientation: int) -> Geometry:
    """Likewise of a still image, which is turned as it says itself: by the EXIF `orientation` of its file (1: upright),
    else by the container's display matrix."""
    turns = _TURNS_OF_EXIF.get(orientation) or _turns(frame) or _UNTURNED
    return Geometry(geometry.aspect, *turns)


def turns_of_matrix(matrix: Sequence[int]) -> tuple[bool, bool, bool]:
    """`transposed`, `flip_x` and `flip_y` of a display matrix [9] as ISO 14496-12 defines it: a point (x, y) of the
    decoded picture is shown at (m0 x + m3 y, m1 x + m4 y)."""
    x_from_x, y_from_x, x_from_y, y_from_y = matrix[0], matrix[1], matrix[3], matrix[4]
    transposed = abs(y_from_x) + abs(x_from_y) > abs(x_from_x) + abs(y_from_y)
    if transposed:
        return True, x_from_y < 0, y_from_x < 0
    return False, x_from_x < 0, y_from_y < 0


def to_bgr(frame: av.VideoFrame, geometry: Geometry = PLAIN) -> Image:
    """A new BGR uint8 [height, width, 3] of any pixel format; the frame's own colour matrix and range are respected.

    A frame that does not say which matrix it uses is read as BT.601, as FFmpeg does. Stretching happens in the pass
    that converts colours. One thread: at 720p swscale needs 0.39 ms of CPU so, 0.47 ms with its own threads, and
    copying the planes for cv2.cvtColor 0.68 ms.
    """
    width, height = geometry.stretched(frame.width, frame.height)
    image = frame.to_ndarray(format="bgr24", width=width, height=height, threads=1)
    return geometry.upright(np.asarray(image, np.uint8))


def lazily(frame: av.VideoFrame, geometry: Geometry = PLAIN) -> Callable[[], Image]:
    """`to_bgr` of this frame, later and from any thread. It holds the decoder's buffer until it is let go of."""
    return functools.partial(to_bgr, frame, geometry)


def _turns(frame: av.VideoFrame) -> tuple[bool, bool, bool] | None:
    """None if the frame does not say how it is turned."""
    try:
        data = cast("SideData | None", _side_data(frame).get("DISPLAYMATRIX"))
    except ValueError:  # PyAV refuses to list side data of a type it does not know, EXIF for one: flips are unknown
        return _TURNS.get(frame.rotation % 360, _UNTURNED)
    return None if data is None else turns_of_matrix(np.frombuffer(bytes(data), np.int32).tolist())


def _even(length: Fraction) -> int:
    return max(2, 2 * round(length / 2))
