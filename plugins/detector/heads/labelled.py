"""Heads of models with a post-processor in the file: one score and one class per box, already suppressed.

- "tf-ssd" (TensorFlow's object detection API): `detection_boxes` [b, n, 4] as y1, x1, y2, x2 from 0 to 1,
  `detection_classes` [b, n] counted from 1, `detection_scores` [b, n], and `num_detections` [b]: rows behind it are
  padding. Label 0 is class 1.
- "mmdeploy" (RTMDet and others by MMDeploy): `dets` [b, n, 5] as x1, y1, x2, y2 in pixels and score, `labels` [b, n];
  padding has the class -1.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sightd.engines.model import InputSpec
from sightd.engines.session import Tensor
from sightd.plugins.api import FloatArray
from sightd.plugins.detector.heads.decoding import (
    Candidates,
    labelled,
    mismatch,
    outputs_named,
    require_probabilities,
)


def decode_tensorflow(outputs: Mapping[str, Tensor], spec: InputSpec, min_score: FloatArray) -> list[Candidates]:
    """See `decoding.Head`."""
    found = outputs_named(outputs, "detection_boxes", "detection_scores", "detection_classes", "num_detections")
    if found is None or found[0].shape != (*found[1].shape, 4) or found[1].shape != found[2].shape:
        raise mismatch("tf-ssd", outputs)
    require_probabilities(found[1], "tf-ssd")
    size = np.array([spec.width, spec.height] * 2, np.float32)
    return [
        labelled(
            boxes[: int(count), [1, 0, 3, 2]].astype(np.float32, copy=False) * size,
            scores[: int(count)],
            classes[: int(count)] - 1,
            min_score,
            "tf-ssd",
        )
        for boxes, scores, classes, count in zip(*found[:3], found[3].reshape(-1), strict=True)
    ]


def decode_mmdeploy(outputs: Mapping[str, Tensor], spec: InputSpec, min_score: FloatArray) -> list[Candidates]:
    """See `decoding.Head`."""
    found = outputs_named(outputs, "dets", "labels")
    if found is None or found[0].ndim != 3 or found[0].shape != (*found[1].shape, 5):
        raise mismatch("mmdeploy", outputs)
    dets, classes = found
    require_probabilities(dets[..., 4], "mmdeploy")
    return [
        labelled(one[:, :4].astype(np.float32, copy=False), one[:, 4], of_one, min_score, "mmdeploy")
        for one, of_one in zip(dets, classes, strict=True)
    ]
