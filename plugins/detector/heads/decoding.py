"""What the decoders of all heads share: their interface and result, checks of both, and the cells of grids.

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

from sightd.engines.heads import (
    CORNER,
    HEAD_FORMATS,
    ROUNDING,
    WRONG_HEAD,
    only_in_corner,
    probe_every,
    wrong_boxes,
)
from sightd.engines.model import InputSpec
from sightd.engines.session import Tensor
from sightd.plugins.api import FloatArray, IntArray, PluginError


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Boxes xyxy float32 [n, 4] in pixels of the model's input, scores float32 [n], class_ids int64 [n].

    A box that reaches the least score in several classes appears once for each of them. `rows` int64 [n] are those of
    the model's output, by which its mask and keypoints are found; None from heads that have neither. `corners` float32
    [n, 4, 2] are those of oriented boxes, which `boxes` are around; None from heads whose boxes are upright.
    """

    boxes: FloatArray
    scores: FloatArray
    class_ids: IntArray
    rows: IntArray | None = None
    corners: FloatArray | None = None


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


def labelled(boxes: FloatArray, scores: Tensor, classes: Tensor, min_score: FloatArray, head: str) -> Candidates:
    """Returns the boxes float32 [n, 4] whose score [n] reaches the least score of their class [n], for heads that give
    each box one class. Raises PluginError for a class that has no label."""
    with np.errstate(invalid="ignore"):
        class_ids = classes.astype(np.int64)
    if not np.array_equal(class_ids, classes):
        raise PluginError(f"head {head!r}: the model's classes are not whole numbers: {WRONG_HEAD}")
    known = (class_ids >= 0) & (class_ids < len(min_score))
    stray = class_ids[~known & (scores >= min_score.min(initial=np.inf))]
    if len(stray):
        raise PluginError(
            f"head {head!r}: the model reports class {stray[0]}, but there are {len(min_score)} labels: give a label "
            "for every class of the model, or choose another head"
        )
    kept = np.flatnonzero(known)
    kept = kept[scores[kept] >= min_score[class_ids[kept]]]
    return Candidates(boxes[kept], scores[kept].astype(np.float32, copy=False), class_ids[kept], kept)


def require_probabilities(scores: Tensor, head: str) -> None:
    """Raises PluginError if scores [b, n] or [b, n, c] are not probabilities, as those of another head. Looks at some
    of the rows only, which costs microseconds."""
    some = scores[:, :: probe_every(scores.shape[1])]
    finite = some[np.isfinite(some)]
    if 2 * finite.size < some.size:
        raise PluginError(f"head {head!r}: most of the model's scores are not numbers: {WRONG_HEAD}")
    low, high = float(finite.min(initial=0)), float(finite.max(initial=0))
    if low < -ROUNDING or high > 1 + ROUNDING:
        raise PluginError(f"head {head!r}: the model's scores are {low:.3g} to {high:.3g}, not 0 to 1: {WRONG_HEAD}")


def require_boxes(candidates: Candidates, spec: InputSpec, head: str) -> None:
    """Raises PluginError if most candidates are no boxes in the model's input: inverted, far outside, NaN, or all of
    them in its corner because they are fractions."""
    boxes = candidates.boxes
    size = np.array([spec.width, spec.height] * 2, np.float32)
    with np.errstate(invalid="ignore"):
        fine = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        fine &= (boxes > -size).all(axis=1) & (boxes < 2 * size).all(axis=1)
    wrong = len(boxes) - int(np.count_nonzero(fine))
    if wrong_boxes(len(boxes), wrong):
        raise PluginError(
            f"head {head!r}: {wrong} of {len(boxes)} boxes are inverted, outside the image or not numbers: {WRONG_HEAD}"
        )
    if only_in_corner(len(boxes), spec) and np.abs(boxes[fine]).max(initial=0) <= CORNER:
        raise PluginError(f"head {head!r}: all boxes are within {CORNER} pixels of the corner: {WRONG_HEAD}")


def outputs_named(outputs: Mapping[str, Tensor], *names: str) -> tuple[Tensor, ...] | None:
    """Returns the outputs of these names, which TensorFlow's exporter ends in ":0", or None if one is missing."""
    plain = {name.removesuffix(":0"): tensor for name, tensor in outputs.items()}
    return tuple(plain[name] for name in names) if all(name in plain for name in names) else None


def mismatch(head: str, outputs: Mapping[str, Tensor]) -> PluginError:
    """Returns the error for outputs that do not have the head's form."""
    found = ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in outputs.items())
    return PluginError(
        f"head {head!r} expects {HEAD_FORMATS[head].outputs}; the model produces {found}: choose another head"
    )


def wrong_classes(head: str, scored: int, labels: int) -> PluginError:
    """Returns the error for a number of labels that is not the number of classes."""
    return PluginError(f"head {head!r}: the model scores {scored} classes, but there are {labels} labels")


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
