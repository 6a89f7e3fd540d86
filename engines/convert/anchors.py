"""The anchor boxes of an SSD: what its box predictions are relative to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class AnchorGrid:
    """A feature map of `height` by `width` cells with one anchor of each scale and aspect ratio in every cell."""

    height: int
    width: int
    scales: FloatArray
    aspects: FloatArray


def anchors(grids: Sequence[AnchorGrid]) -> FloatArray:
    """Centre x, centre y, width, height [n, 4] as parts of the picture's sides (Liu et al. 2016, SSD, section 2.2).

    In the order of the predictions: grid, row, column, anchor.
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
