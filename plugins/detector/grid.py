"""The cells of a model that predicts on grids: one cell per `stride` pixels in each direction, finest grid first."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sightd.engines.spec import InputSpec
from sightd.plugins.api import PluginError
from sightd.plugins.types import FloatArray

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
        f"the network gives {rows} rows, but head {head!r} on a {spec.width}x{spec.height} input has {known}: "
        "check the input's size and that the file was exported with this head"
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
