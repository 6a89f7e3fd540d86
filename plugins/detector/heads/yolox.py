"""Head "yolox": one output [b, n, 5 + c] with x, y, w, h, objectness and c class scores (both after sigmoid).

The official ONNX exports leave the box undecoded: with cell g and stride s, centre = (xy + g) · s and size = exp(wh) ·
s (Ge et al. 2021, "YOLOX", arXiv 2107.08430; strides 8, 16, 32, and 64 for P6 models). Head "yolox-decoded" reads files
exported with `--decode_in_inference`, whose x, y, w, h are already in pixels.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sightd.engines.geometry import from_centre_size
from sightd.engines.model import InputSpec
from sightd.engines.session import Tensor
from sightd.plugins.api import FloatArray
from sightd.plugins.detector.heads.decoding import (
    Candidates,
    Grid,
    grid_of,
    mismatch,
    reaching,
    require_probabilities,
    wrong_classes,
)

_WILDEST = 20.0
"""Upper limit for the argument of exp(), far beyond any image size; keeps broken output finite."""


def decode(outputs: Mapping[str, Tensor], spec: InputSpec, min_score: FloatArray) -> list[Candidates]:
    """See `decoding.Head`."""
    rows = _tensor(outputs, "yolox", len(min_score))
    grid = grid_of(spec, rows.shape[1], "yolox")
    return [_picture(rows[i], grid, min_score) for i in range(len(rows))]


def decode_decoded(outputs: Mapping[str, Tensor], spec: InputSpec, min_score: FloatArray) -> list[Candidates]:
    """See `decoding.Head`; for files that were exported with decoded boxes."""
    rows = _tensor(outputs, "yolox-decoded", len(min_score))
    return [_picture(rows[i], None, min_score) for i in range(len(rows))]


def _picture(rows: Tensor, grid: Grid | None, min_score: FloatArray) -> Candidates:
    """Computes score = objectness · class score. No class score exceeds 1, so a low objectness excludes most rows."""
    hopeful = np.flatnonzero(rows[:, 4] >= min_score.min())
    few = rows[hopeful].astype(np.float32, copy=False)
    scores = few[:, 4:5] * few[:, 5:]
    chosen, class_ids = reaching(scores, min_score)
    boxes = few[chosen, :4]
    if grid is not None:
        cells = hopeful[chosen]
        boxes[:, :2] += grid.xy[cells]
        boxes[:, 2:] = np.exp(np.minimum(boxes[:, 2:], _WILDEST))
        boxes *= grid.stride[cells]
    return Candidates(from_centre_size(boxes), scores[chosen, class_ids], class_ids)


def _tensor(outputs: Mapping[str, Tensor], head: str, classes: int) -> Tensor:
    tensors = list(outputs.values())
    if len(tensors) != 1 or tensors[0].ndim != 3:
        raise mismatch(head, outputs)
    scored = tensors[0].shape[2] - 5
    if scored != classes:
        raise wrong_classes(head, scored, classes)
    require_probabilities(tensors[0][..., 4:], head)
    return tensors[0]
