"""Redacts regions of frames on the device, in place: launches hide.cu."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sightd.engines.cuda.launch.device import Buffer, Device, Grid, GrowingStaging, Kernels, Staging, blocks
from sightd.engines.cuda.launch.layout import CELLS, PICTURE, REGION, record
from sightd.engines.cuda.launch.overlay import Point
from sightd.engines.cuda.launch.picture import DevicePicture

BLOCK: Grid = (16, 8, 1)


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
        grid = (blocks(across, BLOCK[0]), blocks(down, BLOCK[1]), len(regions))
        self._means_of.launch(grid, BLOCK, pictures, described, cells, stream=stream)
        grid = (blocks(width, 2 * BLOCK[0]), blocks(height, 2 * BLOCK[1]), len(regions))
        self._hide.launch(grid, BLOCK, pictures, described, cells, stream=stream)

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
