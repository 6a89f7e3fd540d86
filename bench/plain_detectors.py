"""Detectors as their publishers' examples run them: OpenCV, ONNX Runtime and NumPy, and nothing of sightd's.

`bench.detectors` compares the product with these. Sources: DEIMv2-ONNX-Sample (`sample_onnx.py`), YOLOX
(`demo/ONNXRuntime`, `data_augment.preproc`, `demo_utils.demo_postprocess`), TensorFlow's object detection API for SSD
(stretched to the input, RGB 0-255, suppression by class).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Plain:
    """What a model finds: boxes xyxy float [n, 4] in pixels of the image, scores [n], classes [n]."""

    boxes: Array
    scores: Array
    classes: Array

    def best(self, count: int) -> Plain:
        order = np.argsort(-self.scores, kind="stable")[:count]
        return Plain(self.boxes[order], self.scores[order], self.classes[order])


class PlainDetector:
    """An ONNX file, run by ONNX Runtime on the CPU. One thread."""

    def __init__(self, file: Path, head: str, threads: int = 1) -> None:
        """`head` is one of `FAMILIES`."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        self._read, self._suppresses = FAMILIES[head]

    def read(self, image: Array) -> Plain:
        """Returns everything that the model says about a BGR uint8 image [h, w, 3], before any threshold."""
        height, width = self._session.get_inputs()[0].shape[2:]
        return self._read(self._session, image, width, height)

    def selected(self, found: Plain, min_score: float, max_iou: float, most: int = 100) -> Plain:
        """Returns the objects from a score on, without doubles, best first."""
        return selected(found, min_score, max_iou if self._suppresses else None).best(most)


def selected(found: Plain, min_score: float, max_iou: float | None) -> Plain:
    """Applies the threshold and, unless `max_iou` is None, `cv2.dnn.NMSBoxes` to the boxes of each class."""
    sure = found.scores >= min_score
    boxes, scores, classes = found.boxes[sure], found.scores[sure], found.classes[sure]
    if max_iou is None:
        return Plain(boxes, scores, classes)
    kept: list[int] = []
    for one in np.unique(classes):
        of_class = np.flatnonzero(classes == one)
        corners = boxes[of_class].astype(float)
        sized = np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]])
        best = cv2.dnn.NMSBoxes(sized.tolist(), scores[of_class].astype(float).tolist(), 0.0, max_iou)
        kept += of_class[np.array(best, int).ravel()].tolist()
    return Plain(boxes[kept], scores[kept], classes[kept])


def _deim(session: Any, image: Array, width: int, height: int) -> Plain:
    rgb = cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), (width, height))
    tensor = (rgb.astype(np.float32) / 255.0).transpose(2, 0, 1)[None]
    size = np.array([[image.shape[1], image.shape[0]]], np.int64)
    labels, boxes, scores = session.run(["labels", "boxes", "scores"], {"images": tensor, "orig_target_sizes": size})
    return Plain(boxes[0], scores[0], labels[0])


def _yolox(session: Any, image: Array, width: int, height: int) -> Plain:
    ratio = min(height / image.shape[0], width / image.shape[1])
    resized = cv2.resize(image, (int(image.shape[1] * ratio), int(image.shape[0] * ratio)))
    padded = np.full((height, width, 3), 114, np.uint8)
    padded[: resized.shape[0], : resized.shape[1]] = resized
    tensor = padded.astype(np.float32).transpose(2, 0, 1)[None]
    (rows,) = session.run(None, {session.get_inputs()[0].name: tensor})
    rows = rows[0]
    at = 0
    for stride in (8, 16, 32):
        x, y = np.meshgrid(np.arange(width // stride), np.arange(height // stride))
        cells = np.stack([x, y], 2).reshape(-1, 2)
        level = rows[at : at + len(cells)]
        level[:, :2] = (level[:, :2] + cells) * stride
        level[:, 2:4] = np.exp(level[:, 2:4]) * stride
        at += len(cells)
    centre, size = rows[:, :2], rows[:, 2:4]
    corners = np.hstack([centre - size / 2, centre + size / 2]) / ratio
    return _of_classes(_inside(corners, image), rows[:, 4:5] * rows[:, 5:])


def _ssd(session: Any, image: Array, width: int, height: int) -> Plain:
    rgb = cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), (width, height))
    tensor = rgb.astype(np.float32).transpose(2, 0, 1)[None]
    boxes, scores = session.run(["boxes", "scores"], {session.get_inputs()[0].name: tensor})
    size = np.array([image.shape[1], image.shape[0]] * 2, np.float32)
    return _of_classes(_inside(boxes[0] * size, image), scores[0])


def _inside(boxes: Array, image: Array) -> Array:
    """Cuts boxes off at the image's edges, as objects of a truth are."""
    clipped: Array = boxes.clip(0, [image.shape[1], image.shape[0]] * 2)
    return clipped


_WEAKEST = 0.001


def _of_classes(boxes: Array, scores: Array) -> Plain:
    """Makes an object of each score [n, c] that COCO's evaluation would look at."""
    rows, classes = np.nonzero(scores >= _WEAKEST)
    return Plain(boxes[rows], scores[rows, classes], classes)


FAMILIES: Mapping[str, tuple[Callable[[Any, Array, int, int], Plain], bool]] = {
    "detr-labelled": (_deim, False),
    "yolox": (_yolox, True),
    "ssd": (_ssd, True),
}
"""How files with each head are run, and whether their boxes need suppression."""
