"""The anchor boxes of an SSD, to which its box predictions are relative."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class AnchorGrid:
    """A feature map of `height` by `width` cells, each with one anchor per pair of scale and aspect ratio."""

    height: int
    width: int
    scales: FloatArray
    aspects: FloatArray


def anchors(grids: Sequence[AnchorGrid]) -> FloatArray:
    """Returns centre x, centre y, width and height [n, 4] as fractions of the image size (Liu et al. 2016, SSD, section
    2.2).

    The order is that of the predictions: grid, row, column, anchor.
    """
    return np.concatenate([_of(grid) for grid in grids]).astype(np.float32)


def _of(grid: AnchorGrid) -> NDArray[np.float64]:
    y, x = np.meshgrid(
        (np.arange(grid.height) + 0.5) / grid.height, (np.arange(grid.width) + 0.5) / grid.width, indexing="ij"
    )
    scales, roots = grid.scales.astype(np.float64), np.sqrt(grid.aspects.astype(np.float64))
    boxes = np.empty((grid.height, grid.width, len(scales), 4))
    boxes[..., 0] = x[..., None]
    boxes[..., 1] = y[..., None]
    boxes[..., 2] = scales * roots
    boxes[..., 3] = scales / roots
    return boxes.reshape(-1, 4)
