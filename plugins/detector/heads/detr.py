"""Heads of transformers that detect without suppression (DETR and its successors). Each of n queries finds one object.

- "detr" (RT-DETR, D-FINE and DEIM as Hugging Face exports them): `logits` [b, n, c] and `pred_boxes` [b, n, 4].
- "rf-detr": `dets` [b, n, 4] and `labels` [b, n, c], or the names of "detr". COCO models have a column per COCO id,
  gaps included; one's own trainings have a last column for the background, which may have no label.
- "detr-labelled" (RT-DETR, D-FINE and DEIM by their own exporters): `labels` [b, n], `boxes` [b, n, 4] as x1, y1, x2,
  y2 in pixels of the size that the model was given, and `scores` [b, n].
- "ultralytics-detr" (RT-DETR by Ultralytics): one output [b, n, 4 + c], boxes and then class scores after the sigmoid.

All but "detr-labelled" give boxes as centre x, y, width, height from 0 to 1; the first two give logits, score =
1 / (1 + e^-x). A query that reaches the least score in several classes appears once for each, as in the authors' own
code (Zhu et al. 2021, "Deformable DETR", arXiv 2010.04159).
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
    labelled,
    mismatch,
    outputs_named,
    reaching,
    require_probabilities,
    wrong_classes,
)


def decode(outputs: Mapping[str, Tensor], spec: InputSpec, min_score: FloatArray) -> list[Candidates]:
    """See `decoding.Head`."""
    logits, boxes = _tensors(outputs, "detr", "logits", "pred_boxes")
    if logits.shape[2] != len(min_score):
        raise wrong_classes("detr", logits.shape[2], len(min_score))
    return [_picture(*one, spec, min_score, "detr") for one in zip(logits, boxes, strict=True)]


def decode_rf(outputs: Mapping[str, Tensor], spec: InputSpec, min_score: FloatArray) -> list[Candidates]:
    """See `decoding.Head`."""
    names = ("labels", "dets") if outputs_named(outputs, "labels", "dets") else ("logits", "pred_boxes")
    logits, boxes = _tensors(outputs, "rf-detr", *names)
    if logits.shape[2] - len(min_score) not in (0, 1):
        raise wrong_classes("rf-detr", logits.shape[2] - 1, len(min_score))
    logits = logits[..., : len(min_score)]
    return [_picture(*one, spec, min_score, "rf-detr") for one in zip(logits, boxes, strict=True)]


def decode_labelled(outputs: Mapping[str, Tensor], spec: InputSpec, min_score: FloatArray) -> list[Candidates]:
    """See `decoding.Head`."""
    found = outputs_named(outputs, "boxes", "scores", "labels")
    if found is None or found[0].shape != (*found[1].shape, 4) or found[1].shape != found[2].shape:
        raise mismatch("detr-labelled", outputs)
    require_probabilities(found[1], "detr-labelled")
    return [
        labelled(boxes.astype(np.float32, copy=False), scores, classes, min_score, "detr-labelled")
        for boxes, scores, classes in zip(*found, strict=True)
    ]


def decode_joined(outputs: Mapping[str, Tensor], spec: InputSpec, min_score: FloatArray) -> list[Candidates]:
    """See `decoding.Head`."""
    tensors = [tensor for tensor in outputs.values() if tensor.ndim == 3]
    if len(tensors) != 1:
        raise mismatch("ultralytics-detr", outputs)
    (rows,) = tensors
    if rows.shape[2] - 4 != len(min_score):
        raise wrong_classes("ultralytics-detr", rows.shape[2] - 4, len(min_score))
    require_probabilities(rows[..., 4:], "ultralytics-detr")
    return [_placed(one[:, 4:].astype(np.float32, copy=False), one[:, :4], spec, min_score) for one in rows]


def _picture(logits: Tensor, boxes: Tensor, spec: InputSpec, min_score: FloatArray, head: str) -> Candidates:
    scores = _sigmoid(logits.astype(np.float32, copy=False))
    require_probabilities(scores[None], head)
    return _placed(scores, boxes, spec, min_score)


def _placed(scores: FloatArray, boxes: Tensor, spec: InputSpec, min_score: FloatArray) -> Candidates:
    """Returns the candidates of queries with scores [n, c] and boxes [n, 4] as fractions of the input."""
    chosen, class_ids = reaching(scores, min_score)
    size = np.array([spec.width, spec.height] * 2, np.float32)
    placed = from_centre_size(boxes[chosen].astype(np.float32, copy=False)) * size
    return Candidates(placed, scores[chosen, class_ids], class_ids, chosen)


def _sigmoid(logits: FloatArray) -> FloatArray:
    with np.errstate(over="ignore"):  # e^-x overflows to infinity, whose reciprocal is 0
        scores: FloatArray = np.float32(1) / (np.float32(1) + np.exp(-logits))
    return scores


def _tensors(outputs: Mapping[str, Tensor], head: str, scores: str, boxes: str) -> tuple[Tensor, Tensor]:
    found = outputs_named(outputs, scores, boxes)
    if found is None or found[0].ndim != 3 or found[1].shape != (*found[0].shape[:2], 4):
        raise mismatch(head, outputs)
    return found[0], found[1]
