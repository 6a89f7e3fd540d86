"""Changes of the whole picture that are no activity: exposure and flicker, and small movements of the camera.

Grids are float32 [rows, columns]: the mean luma of each cell, 0-255. All functions are pure.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Grid = NDArray[np.float32]

_SAMPLE = 4
"""Every n-th row and column of cells is enough to fit two numbers."""
_ROUNDS = 2
_OUTLIER = 2.5
"""Cells whose residual exceeds this many median residuals are not part of the fit: something moves there."""
_LEAST_RESIDUAL = 1.0
_LEAST_SPREAD = 4.0
"""Least variance of the cells (grey levels²) from which a gain can be distinguished from an offset."""
_MOST_GAIN = 4.0
"""Exposures that differ by more than this factor, or a negative, are another picture and not another exposure."""
LARGEST_SHIFT = 4.0
"""Largest movement of the camera that is compensated, in cells; beyond it the picture is a different one."""
_SURE = 0.1
"""Least response of the phase correlation, 0-1, below which the shift is noise."""


def exposure(reference: Grid, cells: Grid) -> tuple[float, float]:
    """Returns the gain and offset that make `reference` most like `cells`: cells ≈ gain · reference + offset.

    Gain 1 if they do not resemble each other. Least squares on the cells that agree, twice (trimmed), so that an object
    that covers a third of the picture does not count as a change of the light.
    """
    before = reference[::_SAMPLE, ::_SAMPLE].ravel()
    now = cells[::_SAMPLE, ::_SAMPLE].ravel()
    gain, offset = 1.0, _median(now - before)
    for _ in range(_ROUNDS):
        residual = np.abs(now - gain * before - offset)
        limit = max(_OUTLIER * _median(residual), _LEAST_RESIDUAL)
        agree = residual <= limit
        gain, offset = _line(before[agree], now[agree])
    if not 1 / _MOST_GAIN < gain < _MOST_GAIN:
        return 1.0, _median(now - before)
    return gain, offset


def _median(values: Grid) -> float:
    """Returns the upper median; several times faster than `np.median` for so few values."""
    middle = len(values) // 2
    return float(np.partition(values, middle)[middle])


def _line(x: Grid, y: Grid) -> tuple[float, float]:
    """Returns slope and intercept of the regression line; slope 1 if `x` is nearly constant."""
    mean_x, mean_y = float(x.mean()), float(y.mean())
    spread = x - mean_x
    variance = float(spread @ spread) / len(x)
    slope = 1.0 if variance < _LEAST_SPREAD else float(spread @ (y - mean_y)) / len(x) / variance
    return slope, mean_y - slope * mean_x


def shift(reference: Grid, cells: Grid) -> tuple[float, float] | None:
    """Returns how far the picture has moved right and down, in cells with fractions, or None if that cannot be
    determined, as in a grid of one row or column, or is more than `LARGEST_SHIFT`.

    Phase correlation (Kuglin and Hines 1975) of the two grids with a Hann window.
    """
    if min(reference.shape) < 2:
        return None
    copies = reference.copy(), cells.copy()  # OpenCV applies the window in place if the size suits it
    (x, y), response = cv2.phaseCorrelate(*copies, _window(reference.shape[1], reference.shape[0]))
    if response < _SURE or max(abs(x), abs(y)) > LARGEST_SHIFT:
        return None
    return x, y


@lru_cache(16)
def _window(width: int, height: int) -> Grid:
    return np.asarray(cv2.createHanningWindow((width, height), cv2.CV_32F), np.float32)


def moved_back(cells: Grid, by: tuple[float, float]) -> Grid:
    """Returns the grid moved left and up by `by` cells (bilinear); cells at the border are repeated."""
    matrix = np.array([[1, 0, by[0]], [0, 1, by[1]]], np.float64)
    size = (cells.shape[1], cells.shape[0])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(cells, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.float32)
