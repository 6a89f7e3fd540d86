"""What the decoders of all heads share: their interface and result, and the cells of grids.

`Candidates` are the boxes of one image that reach the least score, before suppression. Models that predict on grids
have one cell per `stride` pixels in each direction, finest grid first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightd.engines.model import InputSpec
from sightd.engines.session import Tensor
from sightd.plugins.api import FloatArray, IntArray, PluginError


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Boxes xyxy float32 [n, 4] in pixels of the model's input, scores float32 [n], class_ids int64 [n].

    A box that reaches the least score in several classes appears once for each of them.
    """

    boxes: FloatArray
    scores: FloatArray
    class_ids: IntArray


Head = Callable[[Mapping[str, Tensor], InputSpec, FloatArray], list[Candidates]]
"""A decoder: (raw outputs by name, the model's input spec, least score of each class [c]) -> one `Candidates` for each
image of the batch. Pure: modifies none of its arguments. Raises PluginError if the outputs do not match the head."""


def reaching(scores: NDArray[Any], min_score: FloatArray) -> tuple[IntArray, IntArray]:
    """Returns rows and columns of `scores` [n, c] that reach their column's least score; NaN never does.

    One pass over all scores, so that boxes dropped here are never decoded.
    """
    flat = np.flatnonzero(scores >= min_score)
    rows, columns = np.divmod(flat, scores.shape[1])
    return rows, columns


_STRIDES = ((8, 16, 32), (8, 16, 32, 64))


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """xy float32 [n, 2]: column and row of each cell · stride float32 [n, 1]: its size in pixels. Cells are in
    row-major order within each grid."""

    strides: tuple[int, ...]
    xy: FloatArray
    stride: FloatArray


def grid_of(spec: InputSpec, rows: int, head: str) -> Grid:
    """Returns the grid of an input of that size whose output has `rows` rows. Raises PluginError if none matches."""
    for strides in _STRIDES:
        if _cells(spec.width, spec.height, strides) == rows:
            return _grid(spec.width, spec.height, strides)
    known = " or ".join(
        f"{_cells(spec.width, spec.height, strides)} at strides {'/'.join(map(str, strides))}" for strides in _STRIDES
    )
    raise PluginError(
        f"the model produces {rows} rows, but head {head!r} on a {spec.width}x{spec.height} input has {known}: "
        "check the input size and that the file was exported with this head"
    )


def _cells(width: int, height: int, strides: tuple[int, ...]) -> int:
    return sum(-(-width // stride) * -(-height // stride) for stride in strides)


@lru_cache(maxsize=32)
def _grid(width: int, height: int, strides: tuple[int, ...]) -> Grid:
    cells, sizes = [], []
    for stride in strides:
        rows, columns = np.mgrid[: -(-height // stride), : -(-width // stride)]
        cells.append(np.stack((columns.ravel(), rows.ravel()), axis=1))
        sizes.append(np.full((rows.size, 1), stride))
    grid = Grid(strides, np.concatenate(cells).astype(np.float32), np.concatenate(sizes).astype(np.float32))
    grid.xy.flags.writeable = grid.stride.flags.writeable = False  # shared by all threads
    return grid
