"""Draws outlines, masks and trails onto frames and redacts regions of them, on the device and in place: launches
overlay.cu and hide.cu."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightd.engines.cuda.launch.device import Buffer, Device, Grid, GrowingStaging, Kernels, Staging, blocks
from sightd.engines.cuda.launch.layout import CELLS, MARK, PICTURE, POINT, REGION, SCENE, record
from sightd.engines.cuda.launch.picture import DevicePicture, Matrix, bgr_to_yuv

Colour = tuple[int, int, int]
"""Blue, green, red."""
Point = tuple[int, int, int, int]
"""Left, top, right, bottom; right and bottom are exclusive."""


@dataclass(frozen=True, slots=True)
class Outline:
    """The border of a rectangle, `thickness` pixels inwards from `place`; `radius` is that of the outer corners.

    Within `arm` pixels of a corner, it is `accent` pixels thick instead. `cover` is its opacity, 0-1.
    """

    place: Point
    colour: Colour
    thickness: float
    radius: float = 0.0
    accent: float = 0.0
    arm: float = 0.0
    cover: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """Any shape, such as text or its background: the coverage of each pixel, uint8 [height, width], with its upper left
    corner at `left`, `top`."""

    left: int
    top: int
    shape: NDArray[np.uint8]
    colour: Colour
    cover: float = 1.0

    @property
    def place(self) -> Point:
        height, width = self.shape.shape
        return self.left, self.top, self.left + width, self.top + height


@dataclass(frozen=True, slots=True, eq=False)
class Trail:
    """A line with round caps through `points`, float32 [n, 2] as x, y; integers are the centres of pixels."""

    points: NDArray[np.float32]
    colour: Colour
    thickness: float
    cover: float = 1.0

    @property
    def place(self) -> Point:
        reach = self.thickness / 2 + 1
        across, down = self.points.T.tolist()  # only a handful of points: faster than NumPy
        left, top = floor(min(across) - reach), floor(min(down) - reach)
        return left, top, ceil(max(across) + reach) + 1, ceil(max(down) + reach) + 1


Mark = Outline | Mask | Trail


BLOCK: Grid = (32, 8, 1)
"""The kernel requires exactly these 256 threads."""
_OUTLINE, _MASK, _TRAIL = 0, 1, 2


class OverlayKernel:
    """Draws any number of marks on up to `max_batch` frames at once.

    Belongs to one GPU pipeline: the stream must be synchronised between two calls of `launch`. `close` is idempotent.
    """

    def __init__(self, device: Device, kernels: Kernels, max_batch: int) -> None:
        self._kernel = kernels.function("overlay", "overlay")
        self._scenes = Staging(device, SCENE, max_batch)
        self._marks = GrowingStaging(device, MARK)
        self._masks = GrowingStaging(device, np.dtype(np.uint8))
        self._points = GrowingStaging(device, POINT)

    def launch(self, scenes: Sequence[tuple[DevicePicture, Sequence[Mark]]], stream: Any) -> None:
        """Draws each frame's marks over it, in order."""
        described = _Described()
        structs = []
        for frame, marks in scenes:
            structs.append(record(SCENE, frame=frame.record(), first=len(described.marks), count=len(marks)))
            for mark in marks:
                described.add(mark, frame)
        if not described.marks:
            return
        placed = self._scenes.send(structs, stream)
        marks_there = self._marks.send([np.array(described.marks, MARK)], stream)
        masks = self._masks.send(described.masks, stream)
        points = self._points.send(described.points, stream)
        grid = (
            blocks(max(frame.width for frame, _ in scenes), 2 * BLOCK[0]),
            blocks(max(frame.height for frame, _ in scenes), 2 * BLOCK[1]),
            len(scenes),
        )
        self._kernel.launch(grid, BLOCK, placed, marks_there, masks, points, stream=stream)

    def close(self) -> None:
        for staging in (self._scenes, self._marks, self._masks, self._points):
            staging.close()


class _Described:
    """Marks in the format of the kernel, with the masks and points that they refer to.

    A mark is a tuple of the fields of struct `Mark`, because NumPy builds an array from tuples several times faster
    than from structs.
    """

    def __init__(self) -> None:
        self.marks: list[tuple[Any, ...]] = []
        self.masks: list[NDArray[np.uint8]] = []
        self.points: list[NDArray[Any]] = []
        self._mask_bytes = self._point_count = 0

    def add(self, mark: Mark, frame: DevicePicture) -> None:
        colour = _in_yuv(mark.colour, frame.matrix, frame.full_range) if frame.nv12 else mark.colour
        if isinstance(mark, Outline):
            outline = (mark.radius, mark.thickness, mark.accent, mark.arm, 0, 0)
            self.marks.append((_OUTLINE, *mark.place, *outline, mark.cover, colour))
        elif isinstance(mark, Mask):
            at = (0.0, 0.0, 0.0, 0.0, self._mask_bytes, mark.shape.shape[1])
            self.marks.append((_MASK, *mark.place, *at, mark.cover, colour))
            self.masks.append(mark.shape.reshape(-1))
            self._mask_bytes += mark.shape.size
        else:
            trail = (0.0, mark.thickness, 0.0, 0.0, self._point_count, len(mark.points))
            self.marks.append((_TRAIL, *mark.place, *trail, mark.cover, colour))
            self.points.append(np.ascontiguousarray(mark.points).view(POINT).reshape(-1))
            self._point_count += len(mark.points)


@lru_cache(maxsize=1024)
def _in_yuv(colour: Colour, matrix: Matrix, full_range: bool) -> tuple[int, int, int]:
    weights = bgr_to_yuv(matrix, full_range)
    y, u, v = (
        sum(int(weight) * part for weight, part in zip(weights[name].tolist(), (*colour, 1), strict=True)) >> 20
        for name in ("y", "u", "v")
    )
    return y, u, v


HIDE_BLOCK: Grid = (16, 8, 1)


class Hide:
    """Pixelates or blurs regions of up to `max_batch` frames.

    Only the mean colour of each cell of `cell` x `cell` pixels (even) is kept. With `blur` the means are interpolated,
    otherwise each cell has one colour. Regions are expanded to even coordinates, because NV12 has one chroma sample per
    four pixels. Belongs to one GPU pipeline: the stream must be synchronised between two calls of `launch`. `close` is
    idempotent.
    """

    def __init__(self, device: Device, kernels: Kernels, max_batch: int, blur: bool = False) -> None:
        self._device, self._blur = device, blur
        self._means_of = kernels.function("hide", "cell_means")
        self._hide = kernels.function("hide", "hide")
        self._pictures = Staging(device, PICTURE, max_batch)
        self._regions = GrowingStaging(device, REGION)
        self._means: Buffer | None = None

    def launch(self, frames: Sequence[tuple[DevicePicture, Sequence[Point]]], cell: int, stream: Any) -> None:
        """Redacts each frame's regions, clipped to the frame. Raises ValueError if `cell` is odd or less than 2."""
        if cell < 2 or cell % 2:
            raise ValueError(f"a cell's side must be even and at least 2 pixels, not {cell}")
        regions = [
            (i, *inside)
            for i, (frame, places) in enumerate(frames)
            for place in places
            if (inside := _on(frame, place))
        ]
        if not regions:
            return
        columns = blocks(max(frame.width for frame, _ in frames), cell)
        rows = blocks(max(frame.height for frame, _ in frames), cell)
        means = self._room_for(12 * columns * rows * len(frames))
        cells = record(CELLS, size=cell, columns=columns, rows=rows, blur=self._blur, means=means.address).tobytes()
        pictures = self._pictures.send([frame.record() for frame, _ in frames], stream)
        described = self._regions.send([np.array(regions, REGION)], stream)
        width = max(right - left for _, left, _, right, _ in regions)
        height = max(bottom - top for _, _, top, _, bottom in regions)
        # A region n cells wide may touch n + 1 cells, and needs one more on each side.
        across, down = blocks(width, cell) + 3, blocks(height, cell) + 3
        grid = (blocks(across, HIDE_BLOCK[0]), blocks(down, HIDE_BLOCK[1]), len(regions))
        self._means_of.launch(grid, HIDE_BLOCK, pictures, described, cells, stream=stream)
        grid = (blocks(width, 2 * HIDE_BLOCK[0]), blocks(height, 2 * HIDE_BLOCK[1]), len(regions))
        self._hide.launch(grid, HIDE_BLOCK, pictures, described, cells, stream=stream)

    def _room_for(self, nbytes: int) -> Buffer:
        if self._means is None or self._means.nbytes < nbytes:
            if self._means is not None:
                self._means.free()
            self._means = self._device.allocate(nbytes)
        return self._means

    def close(self) -> None:
        self._pictures.close()
        self._regions.close()
        if self._means is not None:
            self._means.free()


def _on(frame: DevicePicture, place: Point) -> Point | None:
    """Clips the region to the frame and expands it to even coordinates. Returns None if nothing is left."""
    left, top, right, bottom = place
    if left >= right or top >= bottom:
        return None
    left, top = max(left, 0) & ~1, max(top, 0) & ~1
    right, bottom = min(right + right % 2, frame.width), min(bottom + bottom % 2, frame.height)
    return (left, top, right, bottom) if left < right and top < bottom else None
