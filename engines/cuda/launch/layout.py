"""NumPy dtypes that match the kernels' structs byte for byte. Field names are those of the C sources."""

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
        ("interleaved", "<i4"),
        ("factor", "<f4", 3),
        ("summand", "<f4", 3),
        ("pad", "<f4", 3),
    ],
    align=True,
)
CANDIDATE = np.dtype(
    [("box", "<f4", 4), ("score", "<f4"), ("class_id", "<i4"), ("index", "<i4"), ("slot", "<i4")], align=True
)
COUNTS = np.dtype(
    [
        ("found", "<i4"),
        ("wrong_scores", "<i4"),
        ("no_numbers", "<i4"),
        ("wrong_classes", "<i4"),
        ("wrong_boxes", "<i4"),
        ("beyond_corner", "<i4"),
    ]
)
CANDIDATES = np.dtype(
    [
        ("counts", "<u8"),
        ("keys", "<u8"),
        ("boxes", "<u8"),
        ("points", "<u8"),
        ("order", "<u8"),
        ("capacity", "<i4"),
        ("width", "<f4"),
        ("height", "<f4"),
        ("corner", "<f4"),
        ("rounding", "<f4"),
    ],
    align=True,
)
LEVEL = np.dtype(
    [
        ("tensor", "<u8", 4),
        ("row_length", "<i4", 4),
        ("picture_length", "<i4", 4),
        ("first_row", "<i4"),
        ("rows", "<i4"),
        ("columns", "<i4"),
        ("stride", "<i4"),
    ],
    align=True,
)
HEAD = np.dtype(
    [
        ("levels", LEVEL, 4),
        ("min_score", "<u8"),
        ("least", "<f4"),
        ("level_count", "<i4"),
        ("classes", "<i4"),
        ("width", "<i4"),
        ("height", "<i4"),
        ("bins", "<i4"),
        ("shift", "<f4"),
        ("on_grid", "<i4"),
        ("probe_every", "<i4"),
    ],
    align=True,
)
TABLE = np.dtype(
    [
        ("tensor", "<u8"),
        ("element", "<i4"),
        ("picture_length", "<i4"),
        ("row_length", "<i4"),
        ("column_length", "<i4"),
    ],
    align=True,
)
BOX_HEAD = np.dtype(
    [
        ("boxes", TABLE),
        ("scores", TABLE),
        ("objectness", TABLE),
        ("labels", TABLE),
        ("counted", TABLE),
        ("angles", TABLE),
        ("min_score", "<u8"),
        ("least", "<f4"),
        ("rows", "<i4"),
        ("columns", "<i4"),
        ("classes", "<i4"),
        ("first_class", "<i4"),
        ("form", "<i4"),
        ("sigmoid", "<i4"),
        ("probe_every", "<i4"),
        ("width", "<f4"),
        ("height", "<f4"),
    ],
    align=True,
)
SUPPRESSION = np.dtype(
    [
        ("max_iou", "<f8"),
        ("views", "<u8"),
        ("allowed", "<u8"),
        ("kept", "<u8"),
        ("given", "<u8"),
        ("detections", "<u8"),
        ("points", "<u8"),
        ("by_class", "<i4"),
        ("limit", "<i4"),
        ("min_size", "<f4"),
        ("oriented", "<i4"),
    ],
    align=True,
)
VIEW = np.dtype([(name, "<f4") for name in ("scale_x", "scale_y", "offset_x", "offset_y", "width", "height")])
BGR_TO_YUV = np.dtype([("y", "<i4", 4), ("u", "<i4", 4), ("v", "<i4", 4)])
TARGET = np.dtype(
    [
        ("frame", PICTURE),
        ("step_x", "<i8"),
        ("start_x", "<i8"),
        ("step_y", "<i8"),
        ("start_y", "<i8"),
        ("yuv", BGR_TO_YUV),
    ],
    align=True,
)
RESIZED = np.dtype([("source", PICTURE), ("target", TARGET)], align=True)
OUTPUT_LAYOUT = np.dtype(
    [("width", "<i4"), ("height", "<i4"), ("red_first", "<i4"), ("factor", "<f4"), ("summand", "<f4")], align=True
)
PAINTING = np.dtype(
    [
        ("source", PICTURE),
        ("target", TARGET),
        ("planes", "<u8"),
        ("width", "<i4"),
        ("height", "<i4"),
        ("keep_colours", "<i4"),
        ("strength", "<f4"),
    ],
    align=True,
)
CROP = np.dtype([("source", PICTURE), ("transform", "<f4", 6)], align=True)
MARK = np.dtype(
    [
        ("kind", "<i4"),
        ("left", "<i4"),
        ("top", "<i4"),
        ("right", "<i4"),
        ("bottom", "<i4"),
        ("radius", "<f4"),
        ("thickness", "<f4"),
        ("accent", "<f4"),
        ("arm", "<f4"),
        ("first", "<i4"),
        ("count", "<i4"),
        ("cover", "<f4"),
        ("colour", "<f4", 3),
    ]
)
POINT = np.dtype([("x", "<f4"), ("y", "<f4")])
SCENE = np.dtype([("frame", PICTURE), ("first", "<i4"), ("count", "<i4")], align=True)
REGION = np.dtype([(name, "<i4") for name in ("picture", "left", "top", "right", "bottom")])
CELLS = np.dtype([("size", "<i4"), ("columns", "<i4"), ("rows", "<i4"), ("blur", "<i4"), ("means", "<u8")], align=True)
STRUCTS: dict[str, tuple[str, np.dtype[Any]]] = {
    "YuvToBgr": ("picture.cuh", YUV_TO_BGR),
    "Picture": ("picture.cuh", PICTURE),
    "Placement": ("resample.cuh", PLACEMENT),
    "InputLayout": ("tensor.cuh", INPUT_LAYOUT),
    "BgrToYuv": ("picture.cuh", BGR_TO_YUV),
    "Target": ("write.cuh", TARGET),
    "Resized": ("resize.cu", RESIZED),
    "OutputLayout": ("style.cu", OUTPUT_LAYOUT),
    "Painting": ("paint.cu", PAINTING),
    "Mark": ("overlay.cu", MARK),
    "Point": ("overlay.cu", POINT),
    "Scene": ("overlay.cu", SCENE),
    "Region": ("hide.cu", REGION),
    "Cells": ("hide.cu", CELLS),
    "Crop": ("face_crop.cu", CROP),
    "Candidate": ("candidate.cuh", CANDIDATE),
    "Counts": ("candidate.cuh", COUNTS),
    "Candidates": ("candidate.cuh", CANDIDATES),
    "Level": ("detect.cu", LEVEL),
    "Head": ("detect.cu", HEAD),
    "Table": ("detect.cu", TABLE),
    "BoxHead": ("detect.cu", BOX_HEAD),
    "Suppression": ("suppress.cu", SUPPRESSION),
    "View": ("suppress.cu", VIEW),
}
"""Name of each struct -> the source that defines it, its dtype."""


def record(dtype: np.dtype[Any], **fields: Any) -> NDArray[Any]:
    """Returns one struct [] with these fields set and the rest zero. Raises ValueError for an unknown field."""
    one = np.zeros((), dtype)
    for name, value in fields.items():
        one[name] = value
    return one
