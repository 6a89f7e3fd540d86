"""Heads of the YOLO family after YOLOX. All boxes are in pixels of the model's input.

- "yolo" (Ultralytics YOLOv8 to 26, raw): one output [b, 4 + c, n], or its transpose, with centre x, y, width, height
  and c class scores (after sigmoid). There is no objectness.
- "yolov5" (YOLOv5 of the original repository, YOLOv7): one output [b, n, 5 + c] with objectness before the class
  scores; score = objectness · class score.
- "yolo-end-to-end" (YOLOv10, YOLO26, exports with `nms=True`): one output [b, n, 6] with x1, y1, x2, y2, score, class.

Segmentation and pose models have `extra` columns after these and further outputs, which `shapes` reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from sightd.engines.geometry import from_centre_size
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
    rows, classes = _tensor(outputs, "yolo"), len(min_score)
    columns = 4 + classes + extra
    if rows.shape[1] == columns:
        rows = rows.transpose(0, 2, 1)
    if rows.shape[2] != columns:
        raise wrong_classes("yolo", min(rows.shape[1:]) - 4 - extra, classes)
    scores = rows[..., 4 : 4 + classes]
    require_probabilities(scores, "yolo")
    return [_picture(rows[i], scores[i], min_score) for i in range(len(rows))]


def _picture(rows: Tensor, scores: Tensor, min_score: FloatArray) -> Candidates:
    chosen, class_ids = reaching(scores, min_score)
    boxes = from_centre_size(rows[chosen, :4].astype(np.float32, copy=False))
    return Candidates(boxes, scores[chosen, class_ids].astype(np.float32, copy=False), class_ids, chosen)


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
    rows = _tensor(outputs, "yolo-end-to-end")
    if rows.shape[2] != 6 + extra:
        raise mismatch("yolo-end-to-end", outputs)
    require_probabilities(rows[..., 4], "yolo-end-to-end")
    return [
        labelled(one[:, :4].astype(np.float32, copy=False), one[:, 4], one[:, 5], min_score, "yolo-end-to-end")
        for one in rows
    ]


def _tensor(outputs: Mapping[str, Tensor], head: str) -> Tensor:
    """Returns the only output with three axes: prototypes of masks have four."""
    tensors = [tensor for tensor in outputs.values() if tensor.ndim == 3]
    if len(tensors) != 1:
        raise mismatch(head, outputs)
    return tensors[0]
