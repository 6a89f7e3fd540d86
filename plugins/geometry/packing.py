"""Crops of a frame that share one model input, and tiles that cover a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

View = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels of the frame; right and bottom are exclusive."""


@dataclass(frozen=True, slots=True)
class Crop:
    """A part of the frame, enlarged `scale` times."""

    view: View
    scale: float = 1.0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, enlarged."""
        left, top, right, bottom = self.view
        return round((right - left) * self.scale), round((bottom - top) * self.scale)


@dataclass(frozen=True, slots=True)
class Placed:
    """A crop whose corner is at (`left`, `top`) of a sheet."""

    crop: Crop
    left: int
    top: int


def packed(crops: Sequence[Crop], side: int, most: int) -> tuple[list[list[Placed]], list[int]]:
    """Packs crops into at most `most` sheets of `side` x `side` pixels, on shelves: next-fit by falling height. If not
    all fit, earlier ones are served first.

    Returns the sheets and the indices of the crops that they hold. A crop larger than a sheet fits nowhere.
    """
    kept: list[int] = []
    sheets: list[list[Placed]] = []
    for index, crop in enumerate(crops):
        attempt = _shelves([*(crops[i] for i in kept), crop], side)
        if attempt is not None and len(attempt) <= most:
            kept.append(index)
            sheets = attempt
    return sheets, kept


def _shelves(crops: Sequence[Crop], side: int) -> list[list[Placed]] | None:
    """Returns the sheets that hold all crops, or None if one is larger than a sheet."""
    sheets: list[list[Placed]] = [[]]
    left = top = shelf = 0
    for crop in sorted(crops, key=lambda one: -one.size[1]):
        width, height = crop.size
        if max(width, height) > side:
            return None
        if left + width > side:
            left, top, shelf = 0, top + shelf, 0
        if top + height > side:
            sheets.append([])
            left = top = shelf = 0
        sheets[-1].append(Placed(crop, left, top))
        left, shelf = left + width, max(shelf, height)
    return sheets


def tiles_of(width: int, height: int, side: int, overlap: int) -> list[View]:
    """Returns the fewest tiles of `side` x `side` pixels that cover the frame and overlap by at least `overlap` pixels,
    row by row; a frame smaller than a tile is one tile."""
    columns, rows = _starts(width, side, overlap), _starts(height, side, overlap)
    return [(left, top, min(left + side, width), min(top + side, height)) for top in rows for left in columns]


def grid_of(width: int, height: int, side: int, most: int, overlap: float, enlarged: float = 1.0) -> list[Crop]:
    """Returns at most `most` tiles that cover the frame and overlap by the share `overlap` of their sides: those that
    show it largest, at most `enlarged` times, in inputs of `side` x `side` pixels, and of these the fewest."""
    grids = [(columns, rows) for columns in range(1, most + 1) for rows in range(1, most // columns + 1)]

    def scale(grid: tuple[int, int]) -> float:
        return min(enlarged, side / max(_span(width, grid[0], overlap), _span(height, grid[1], overlap)))

    best = max(grids, key=lambda grid: (scale(grid), -grid[0] * grid[1]))
    across, down = spans(width, best[0], overlap), spans(height, best[1], overlap)
    return [Crop((left, top, right, bottom), scale(best)) for top, bottom in down for left, right in across]


def _starts(length: int, side: int, overlap: int) -> list[int]:
    if length <= side:
        return [0]
    count = -(-(length - side) // (side - overlap)) + 1
    starts: list[int] = np.linspace(0, length - side, count).astype(int).tolist()
    return starts


def _span(length: int, count: int, overlap: float) -> int:
    return min(length, -(-length // count) + int(overlap * length / count))


def spans(length: int, count: int, overlap: float) -> list[tuple[int, int]]:
    """Returns `count` overlapping spans of equal length that cover `length`."""
    part = _span(length, count, overlap)
    return [(start, start + part) for start in np.linspace(0, length - part, count).astype(int).tolist()]
