"""The kernels' structs as NumPy dtypes, byte for byte; the names are those of the C sources."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

YUV_TO_BGR = np.dtype([(name, "<i4") for name in ("luma_offset", "luma", "blue_u", "green_u", "green_v", "red_v")])
PICTURE = np.dtype(
    [
        ("plane", "<u8"),
        ("chroma", "<u8"),
        ("pitch", "<i4"),
        ("chroma_pitch", "<i4"),
        ("width", "<i4"),
        ("height", "<i4"),
        ("nv12", "<i4"),
        ("yuv", YUV_TO_BGR),
    ],
    align=True,
)
PLACEMENT = np.dtype(
    [
        ("source", PICTURE),
        ("step_x", "<i8"),
        ("start_x", "<i8"),
        ("step_y", "<i8"),
        ("start_y", "<i8"),
        ("left", "<i4"),
        ("top", "<i4"),
        ("width", "<i4"),
        ("height", "<i4"),
    ],
    align=True,
)
INPUT_LAYOUT = np.dtype(
    [
        ("width", "<i4"),
        ("height", "<i4"),
        ("red_first", "<i4"),
        ("factor", "<f4", 3),
        ("summand", "<f4", 3),
        ("pad", "<f4", 3),
    ],
    align=True,
)
STRUCTS: dict[str, tuple[str, np.dtype[Any]]] = {
    "YuvToBgr": ("picture.cuh", YUV_TO_BGR),
    "Picture": ("picture.cuh", PICTURE),
    "Placement": ("resample.cuh", PLACEMENT),
    "InputLayout": ("tensor.cuh", INPUT_LAYOUT),
}
"""Name of each struct -> the source that defines it, its dtype."""


def record(dtype: np.dtype[Any], **fields: Any) -> NDArray[Any]:
    """One struct [] with those fields, the rest zero. ValueError for a field that the struct has not."""
    one = np.zeros((), dtype)
    for name, value in fields.items():
        one[name] = value
    return one
