"""Heads "ssd" and "yolo-nas": boxes and scores already decoded by the model, only without suppression.

Two outputs: `boxes` [b, n, 4], xyxy as fractions 0-1 of the model's input ("ssd") or in its pixels ("yolo-nas"), and
`scores` [b, n, c], probabilities of each class (after sigmoid or softmax). Outputs with other names are recognised by
shape: the one whose last axis is 4 holds the boxes. A background class is an ordinary column; label it "background" and
it is never reported.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sightd.engines.model import InputSpec
from sightd.engines.session import Tensor
from sightd.plugins.api import FloatArray
from sightd.plugins.detector.heads.decoding import (
    Candidates,
    mismatch,
    reaching,
    require_probabilities,
    wrong_classes,
)


def decode(outputs: Mapping[str, Tensor], spec: InputSpec, min_score: FloatArray) -> list[Candidates]:
    """See `decoding.Head`: box = fraction · (width, height, width, height)."""
    return _decoded(outputs, np.array([spec.width, spec.height] * 2, np.float32), min_score, "ssd")


def decode_pixels(outputs: Mapping[str, Tensor], spec: InputSpec, min_score: FloatArray) -> list[Candidates]:
    """See `decoding.Head`; for boxes that already are in pixels."""
    return _decoded(outputs, np.ones(4, np.float32), min_score, "yolo-nas")


def _decoded(outputs: Mapping[str, Tensor], size: FloatArray, min_score: FloatArray, head: str) -> list[Candidates]:
    boxes, scores = _tensors(outputs, head)
    if scores.shape[2] != len(min_score):
        raise wrong_classes(head, scores.shape[2], len(min_score))
    require_probabilities(scores, head)
    return [_picture(boxes[i], scores[i], size, min_score) for i in range(len(scores))]


def _picture(boxes: Tensor, scores: Tensor, size: FloatArray, min_score: FloatArray) -> Candidates:
    rows, class_ids = reaching(scores, min_score)
    return Candidates(
        boxes[rows].astype(np.float32, copy=False) * size,
        scores[rows, class_ids].astype(np.float32, copy=False),
        class_ids,
    )


def _tensors(outputs: Mapping[str, Tensor], head: str) -> tuple[Tensor, Tensor]:
    """Returns the outputs `boxes` and `scores`, by name or else by shape. Raises PluginError for other outputs."""
    if "boxes" in outputs and "scores" in outputs:
        boxes, scores = outputs["boxes"], outputs["scores"]
    else:
        three_axes = [tensor for tensor in outputs.values() if tensor.ndim == 3]
        of_boxes = [tensor for tensor in three_axes if tensor.shape[2] == 4]
        of_scores = [tensor for tensor in three_axes if tensor.shape[2] != 4]
        if len(of_boxes) != 1 or len(of_scores) != 1:
            raise mismatch(head, outputs)
        boxes, scores = of_boxes[0], of_scores[0]
    if boxes.ndim != 3 or scores.ndim != 3 or boxes.shape != (*scores.shape[:2], 4):
        raise mismatch(head, outputs)
    return boxes, scores
