"""Normalises rows on the device to unit length: launches unit.cu."""

from __future__ import annotations

from typing import Any

import numpy as np

from sightd.engines.cuda.launch.heads import DeviceTensor
from sightd.engines.cuda.launch.interfaces import Buffer, Grid, Kernels, precision

BLOCK: Grid = (128, 1, 1)
"""The kernel requires exactly this number of threads."""


def to_unit(kernels: Kernels, rows: DeviceTensor, count: int, into: Buffer, stream: Any) -> None:
    """Divides the first `count` rows of a tensor [n, d], float32 or float16, by their lengths and writes them as
    float32 [count, d] to `into`. Raises ValueError if that buffer is too small."""
    _, columns = rows.shape
    if into.nbytes < 4 * count * columns:
        raise ValueError(f"{count} rows of {columns} numbers require {4 * count * columns} bytes, not {into.nbytes}")
    kernel = kernels.function("unit", precision(rows.dtype, "unit"))
    kernel.launch((count, 1, 1), BLOCK, np.uint64(rows.address), into, np.int32(columns), stream=stream)
