"""Heads of the YOLO family after YOLOX. All boxes are in pixels of the model's input.

- "yolo" (Ultralytics YOLOv8 to 26, raw): one output [b, 4 + c, n], or its transpose, with centre x, y, width, height
  and c class scores (after sigmoid). There is no objectness.
- "yolov5" (YOLOv5 of the original repository, YOLOv7): one output [b, n, 5 + c] with objectness before the class
  scores; score = objectness · class score.
- "yolo-end-to-end" (YOLOv10, YOLO26, exports with `nms=True`): one output [b, n, 6] with x1, y1, x2, y2, score, class.
- "yolo-obb" (task obb, raw): as "yolo", with the angle of the box in radians after the class scores.
- "yolo-obb-end-to-end": one output [b, n, 7] with centre x, y, width, height, score, class, angle.

Segmentation and pose models have `extra` columns after these and further outputs, which `shapes` reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from sightd.engines.geometry import around, from_centre_size, turned
from sightd.engines.model import InputSpec
from sightd.engines.session import Tensor
from sightd.plugins.api import FloatArray
from sightd.plugins.detector.heads.decoding import (
    Candidates,
    labelled,
    mismatch,
    reaching,
    require_probabilities,
    wrong_classes,
)


def decode(outputs: Mapping[str, Tensor], spec: InputSpec, min_score: FloatArray, extra: int = 0) -> list[Candidates]:
    """See `decoding.Head`."""
    rows, scores = _raw(outputs, len(min_score), extra, "yolo")
    return [_picture(rows[i], scores[i], min_score) for i in range(len(rows))]


def decode_oriented(outputs: Mapping[str, Tensor], spec: InputSpec, min_score: FloatArray) -> list[Candidates]:
    """See `decoding.Head`."""
    rows, scores = _raw(outputs, len(min_score), 1, "yolo-obb")
    return [_oriented(_picture(rows[i], scores[i], min_score), rows[i]) for i in range(len(rows))]


def _raw(outputs: Mapping[str, Tensor], classes: int, extra: int, head: str) -> tuple[Tensor, Tensor]:
    """Returns the rows [b, n, 4 + classes + extra], and their class scores [b, n, classes]."""
    rows, columns = _tensor(outputs, head), 4 + classes + extra
    if rows.shape[1] == columns:
        rows = rows.transpose(0, 2, 1)
    if rows.shape[2] != columns:
        raise wrong_classes(head, min(rows.shape[1:]) - 4 - extra, classes)
    scores = rows[..., 4 : 4 + classes]
    require_probabilities(scores, head)
    return rows, scores


def _picture(rows: Tensor, scores: Tensor, min_score: FloatArray) -> Candidates:
    chosen, class_ids = reaching(scores, min_score)
    boxes = from_centre_size(rows[chosen, :4].astype(np.float32, copy=False))
    return Candidates(boxes, scores[chosen, class_ids].astype(np.float32, copy=False), class_ids, chosen)


def _oriented(found: Candidates, rows: Tensor) -> Candidates:
    """Returns the candidates with the corners and boxes of their `rows`, whose first columns are centre and size and
    whose last one is the angle."""
    assert found.rows is not None
    columns = rows[found.rows][:, [0, 1, 2, 3, -1]].astype(np.float32, copy=False)
    corners = turned(columns)
    return replace(found, boxes=around(corners), corners=corners)


def decode_v5(
    outputs: Mapping[str, Tensor], spec: InputSpec, min_score: FloatArray, extra: int = 0
) -> list[Candidates]:
    """See `decoding.Head`."""
    rows, classes = _tensor(outputs, "yolov5"), len(min_score)
    if rows.shape[2] != 5 + classes + extra:
        raise wrong_classes("yolov5", rows.shape[2] - 5 - extra, classes)
    require_probabilities(rows[..., 4 : 5 + classes], "yolov5")
    return [_picture_v5(rows[i, :, : 5 + classes], min_score) for i in range(len(rows))]


def _picture_v5(rows: Tensor, min_score: FloatArray) -> Candidates:
    """No class score exceeds 1, so a low objectness excludes most rows."""
    numbers = np.flatnonzero(rows[:, 4] >= min_score.min())
    hopeful = rows[numbers].astype(np.float32, copy=False)
    found = _picture(hopeful, hopeful[:, 4:5] * hopeful[:, 5:], min_score)
    assert found.rows is not None
    return replace(found, rows=numbers[found.rows])


def decode_end_to_end(
    outputs: Mapping[str, Tensor], spec: InputSpec, min_score: FloatArray, extra: int = 0
) -> list[Candidates]:
    """See `decoding.Head`."""
    rows = _suppressed(outputs, 6 + extra, "yolo-end-to-end")
    return [_labelled(one, min_score, "yolo-end-to-end") for one in rows]


def decode_oriented_end_to_end(
    outputs: Mapping[str, Tensor], spec: InputSpec, min_score: FloatArray
) -> list[Candidates]:
    """See `decoding.Head`."""
    head = "yolo-obb-end-to-end"
    return [_oriented(_labelled(one, min_score, head), one) for one in _suppressed(outputs, 7, head)]


def _suppressed(outputs: Mapping[str, Tensor], columns: int, head: str) -> Tensor:
    """Returns rows of a box, a score and a class."""
    rows = _tensor(outputs, head)
    if rows.shape[2] != columns:
        raise mismatch(head, outputs)
    require_probabilities(rows[..., 4], head)
    return rows


def _labelled(rows: Tensor, min_score: FloatArray, head: str) -> Candidates:
    return labelled(rows[:, :4].astype(np.float32, copy=False), rows[:, 4], rows[:, 5], min_score, head)


def _tensor(outputs: Mapping[str, Tensor], head: str) -> Tensor:
    """Returns the only output with three axes: prototypes of masks have four."""
    tensors = [tensor for tensor in outputs.values() if tensor.ndim == 3]
    if len(tensors) != 1:
        raise mismatch(head, outputs)
    return tensors[0]
