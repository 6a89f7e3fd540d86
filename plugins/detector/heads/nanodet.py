"""Head "nanodet": class scores (after sigmoid) and, for each side of the box, a distribution over its distance.

Both forms of the official ONNX exports are read (RangiLyu/nanodet):
- NanoDet-Plus: one output [b, n, c + 4 · (m + 1)], grids at strides 8/16/32/64, distances from a cell's *corner*;
- NanoDet and NanoDet-g: outputs `cls_pred_stride_S` [b, n_S, c] and `dis_pred_stride_S` [b, n_S, 4 · (m + 1)] for
  S = 8, 16, 32, distances from a cell's *centre*. A single output with strides 8/16/32 is read as these, concatenated.

The distance of a side is the mean of the softmax over its m + 1 bins, in strides: d = s · Σ i · softmax(x)_i. The box
is (px − left, py − top, px + right, py + bottom), clipped to the input as in the official code (Li et al. 2020,
"Generalized Focal Loss", arXiv 2006.04388).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from sightd.engines.classification import softmax
from sightd.engines.geometry import clip
from sightd.engines.model import InputSpec
from sightd.engines.session import Tensor
from sightd.plugins.api import FloatArray, IntArray
from sightd.plugins.detector.heads.decoding import (
    Candidates,
    Grid,
    grid_of,
    mismatch,
    reaching,
    require_probabilities,
)

_PART = re.compile(r"(cls|dis)_pred_stride_(\d+)")


def decode(outputs: Mapping[str, Tensor], spec: InputSpec, min_score: FloatArray) -> list[Candidates]:
    """See `decoding.Head`."""
    scores, distances = _tensors(outputs, len(min_score))
    require_probabilities(scores, "nanodet")
    grid = grid_of(spec, scores.shape[1], "nanodet")
    return [_picture(scores[i], distances[i], grid, spec, min_score) for i in range(len(scores))]


def _picture(scores: Tensor, distances: Tensor, grid: Grid, spec: InputSpec, min_score: FloatArray) -> Candidates:
    rows, class_ids = reaching(scores, min_score)
    boxes = clip(_boxes(distances[rows], grid, rows), spec.width, spec.height)
    return Candidates(boxes.astype(np.float32, copy=False), scores[rows, class_ids].astype(np.float32), class_ids)


def _boxes(distances: Tensor, grid: Grid, rows: IntArray) -> FloatArray:
    """Returns boxes [n, 4] from raw distributions [n, 4 · bins] at the cells `rows`."""
    bins = distances.shape[1] // 4
    mean = softmax(distances.reshape(-1, 4, bins).astype(np.float32)) @ np.arange(bins, dtype=np.float32)
    stride = grid.stride[rows]
    shift = 0.0 if 64 in grid.strides else 0.5
    points = (grid.xy[rows] + np.float32(shift)) * stride
    sides: FloatArray = mean * stride
    return np.concatenate((points - sides[:, :2], points + sides[:, 2:]), axis=1)


def _tensors(outputs: Mapping[str, Tensor], classes: int) -> tuple[Tensor, Tensor]:
    """Returns scores [b, n, c] and distributions [b, n, 4 · bins] of either form, else raises PluginError."""
    if len(outputs) == 1:
        (joined,) = outputs.values()
        if joined.ndim == 3 and _is_sides(joined.shape[2] - classes):
            return joined[..., :classes], joined[..., classes:]
    else:
        parts = {match.groups(): tensor for name, tensor in outputs.items() if (match := _PART.fullmatch(name))}
        strides = sorted({stride for _, stride in parts}, key=int)
        if len(parts) == len(outputs) == 2 * len(strides):
            scores = np.concatenate([parts["cls", stride] for stride in strides], axis=1)
            distances = np.concatenate([parts["dis", stride] for stride in strides], axis=1)
            if scores.shape[2] == classes and _is_sides(distances.shape[2]):
                return scores, distances
    raise mismatch("nanodet", outputs)


def _is_sides(columns: int) -> bool:
    return columns >= 8 and columns % 4 == 0
