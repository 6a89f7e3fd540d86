"""The grid of cells of a frame: the mean luma of each, and where boxes lie in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.plugins.activity.disturbances import Grid
from sightd.plugins.api import FloatArray, Frame, Luma
from sightd.plugins.geometry.regions import Corners, inside

Mask = NDArray[np.bool_]

_ACROSS = 160
"""About so many cells along the longer side: 12 px at 1920x1080, so that a person of 20 px height covers several."""
_LEAST_CELL = 4
_ROWS = 3
"""So many rows of a cell are enough for its mean, if they are a divisor apart: others need not be read."""


@dataclass(frozen=True, slots=True)
class CellGrid:
    """The cells of frames of `width` x `height` px: squares of `cell` px; those at the right and lower edge may be
    narrower."""

    width: int
    height: int

    @property
    def cell(self) -> int:
        return max(_LEAST_CELL, round(max(self.width, self.height) / _ACROSS))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return max(self.height // self.cell, 1), max(self.width // self.cell, 1)

    def of(self, frame: Frame) -> Grid:
        """Returns the mean luma of each cell, float32 [rows, columns], 0-255, of a frame of this size."""
        return self.of_luma(frame.luma())

    def of_luma(self, luma: Luma) -> Grid:
        """Returns the same of a frame's luma, uint8 [height, width]."""
        rows, columns = self.shape
        cell = self.cell
        apart = max(step for step in range(1, max(cell // _ROWS, 1) + 1) if cell % step == 0)
        read = luma[apart // 2 : rows * cell : apart, : columns * cell]
        small = cv2.resize(read, (columns, rows), interpolation=cv2.INTER_AREA)
        return small.astype(np.float32)

    def covered(self, boxes: FloatArray, margin: float = 0.0) -> Mask:
        """Returns the cells that boxes xyxy [n, 4] px, widened by `margin` px, touch."""
        mask = np.zeros(self.shape, np.bool_)
        for part in self.parts(boxes, margin):
            mask[part] = True
        return mask

    def parts(self, boxes: FloatArray, margin: float = 0.0) -> Iterator[tuple[slice, slice]]:
        """Yields for each box xyxy [n, 4] px, widened by `margin` px, the rows and columns of the cells that it
        touches."""
        cell = self.cell
        for x1, y1, x2, y2 in boxes.tolist():
            left, top = int(max(x1 - margin, 0) // cell), int(max(y1 - margin, 0) // cell)
            right, bottom = -int(-(x2 + margin) // cell), -int(-(y2 + margin) // cell)
            yield slice(top, max(bottom, 0)), slice(left, max(right, 0))

    def outside(self, polygons: Sequence[Corners]) -> Mask:
        """Returns the cells whose centre lies in none of the polygons, given in fractions of the frame."""
        rows, columns = self.shape
        y, x = np.mgrid[:rows, :columns]
        centres = np.stack(((x.ravel() + 0.5) / columns, (y.ravel() + 0.5) / rows), axis=1)
        masked = np.zeros(rows * columns, np.bool_)
        for corners in polygons:
            masked |= inside(centres, corners)
        return ~masked.reshape(rows, columns)

    def groups(self, cells: Mask, reach: int = 1) -> FloatArray:
        """Returns the boxes xyxy float32 [n, 4] px of groups of cells; cells at most 2 · `reach` apart are one
        group."""
        kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
        near = cv2.dilate(np.pad(cells.view(np.uint8), reach), kernel)
        _, _, stats, _ = cv2.connectedComponentsWithStats(near, connectivity=8)
        left, top, across, down = np.asarray(stats, np.float32)[1:, :4].T  # of padded cells, widened by `reach`
        boxes = np.stack((left, top, left + across - 2 * reach, top + down - 2 * reach), axis=1)
        return np.asarray(boxes * self.cell, np.float32)
