"""Random outputs of each head, and plain readers of them: one loop per image, row and class, written from the formats'
descriptions and sharing no code with the decoders."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 96, 64
CLASSES = 3
ROWS = 60

Found = tuple[list[float], float, int]
"""Box x1, y1, x2, y2 in pixels of the input, score, class."""
Outputs = Mapping[str, NDArray[Any]]


def corners(random: np.random.Generator, rows: int = ROWS) -> NDArray[np.float32]:
    """Returns boxes [rows, 4] as fractions of the input."""
    centre, size = random.uniform(0.1, 0.9, (rows, 2)), random.uniform(0.05, 0.5, (rows, 2))
    return np.concatenate((centre - size / 2, centre + size / 2), axis=1).astype(np.float32)


def centres(random: np.random.Generator, rows: int = ROWS) -> NDArray[np.float32]:
    box = corners(random, rows)
    return np.concatenate(((box[:, :2] + box[:, 2:]) / 2, box[:, 2:] - box[:, :2]), axis=1)


def scores(random: np.random.Generator, columns: int = CLASSES) -> NDArray[np.float32]:
    return random.uniform(0, 1, (ROWS, columns)).astype(np.float32)


def _pixels(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    return boxes * np.array([WIDTH, HEIGHT] * 2, np.float32)


def _logits(random: np.random.Generator, columns: int) -> NDArray[np.float32]:
    return random.normal(0, 3, (ROWS, columns)).astype(np.float32)


def _classes(random: np.random.Generator, first: int, dtype: type) -> NDArray[Any]:
    return random.integers(first, first + CLASSES, ROWS).astype(dtype)


def _stack(*columns: NDArray[Any]) -> NDArray[np.float32]:
    return np.concatenate([one.reshape(ROWS, -1) for one in columns], axis=1).astype(np.float32)


WRITERS: Mapping[str, Callable[[np.random.Generator], Outputs]] = {
    "ssd": lambda random: {"boxes": corners(random), "scores": scores(random)},
    "yolo-nas": lambda random: {"boxes": _pixels(corners(random)), "scores": scores(random)},
    "yolo": lambda random: {"output0": _stack(_pixels(centres(random)), scores(random)).T.copy()},
    "yolov5": lambda random: {"output0": _stack(_pixels(centres(random)), scores(random, 1), scores(random))},
    "yolox-decoded": lambda random: {"output": _stack(_pixels(centres(random)), scores(random, 1), scores(random))},
    "yolo-end-to-end": lambda random: {
        "output0": _stack(_pixels(corners(random)), scores(random, 1), _classes(random, 0, np.float32))
    },
    "detr": lambda random: {"logits": _logits(random, CLASSES), "pred_boxes": centres(random)},
    "rf-detr": lambda random: {"dets": centres(random), "labels": _logits(random, CLASSES + 1)},
    "detr-labelled": lambda random: {
        "labels": _classes(random, 0, np.int64), "boxes": _pixels(corners(random)), "scores": scores(random, 1)[:, 0],
    },
    "ultralytics-detr": lambda random: {"output0": _stack(centres(random), scores(random))},
    "tf-ssd": lambda random: {
        "detection_boxes": corners(random)[:, [1, 0, 3, 2]], "detection_classes": _classes(random, 1, np.float32),
        "detection_scores": scores(random, 1)[:, 0], "num_detections": np.array(ROWS - 7, np.float32),
    },
    "mmdeploy": lambda random: {
        "dets": _stack(_pixels(corners(random)), scores(random, 1)), "labels": _classes(random, 0, np.int64),
    },
}  # fmt: skip
"""One image's outputs of each head, without the batch axis."""


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def _box(x: float, y: float, w: float, h: float) -> list[float]:
    return [x - w / 2, y - h / 2, x + w / 2, y + h / 2]


def _of_pairs(boxes: list[list[float]], table: list[list[float]]) -> Iterator[Found]:
    for box, row in zip(boxes, table, strict=True):
        for class_id, score in enumerate(row[:CLASSES]):
            yield box, score, class_id


def _scaled(boxes: list[list[float]]) -> list[list[float]]:
    return [[x1 * WIDTH, y1 * HEIGHT, x2 * WIDTH, y2 * HEIGHT] for x1, y1, x2, y2 in boxes]


def read(head: str, outputs: Outputs) -> list[Found]:
    """Returns every box of one image with every class that it may have, in the order of rows and classes."""
    one: dict[str, Any] = {name: array.astype(np.float64).tolist() for name, array in outputs.items()}
    match head:
        case "ssd":
            return list(_of_pairs(_scaled(one["boxes"]), one["scores"]))
        case "yolo-nas":
            return list(_of_pairs(one["boxes"], one["scores"]))
        case "yolo":
            rows = [list(column) for column in zip(*one["output0"], strict=True)]
            return list(_of_pairs([_box(*row[:4]) for row in rows], [row[4:] for row in rows]))
        case "yolov5" | "yolox-decoded":
            (rows,) = one.values()
            products = [[row[4] * score for score in row[5:]] for row in rows]
            return list(_of_pairs([_box(*row[:4]) for row in rows], products))
        case "yolo-end-to-end":
            return [(row[:4], row[4], int(row[5])) for row in one["output0"]]
        case "detr" | "rf-detr":
            names = ("pred_boxes", "logits") if head == "detr" else ("dets", "labels")
            table = [[_sigmoid(value) for value in row] for row in one[names[1]]]
            return list(_of_pairs(_scaled([_box(*box) for box in one[names[0]]]), table))
        case "detr-labelled":
            return list(zip(one["boxes"], one["scores"], map(int, one["labels"]), strict=True))
        case "ultralytics-detr":
            boxes = _scaled([_box(*row[:4]) for row in one["output0"]])
            return list(_of_pairs(boxes, [row[4:] for row in one["output0"]]))
        case "tf-ssd":
            placed = _scaled([[x1, y1, x2, y2] for y1, x1, y2, x2 in one["detection_boxes"]])
            kinds = [int(kind) - 1 for kind in one["detection_classes"]]
            every = list(zip(placed, one["detection_scores"], kinds, strict=True))
            return every[: int(one["num_detections"])]
        case "mmdeploy":
            return [(row[:4], row[4], int(kind)) for row, kind in zip(one["dets"], one["labels"], strict=True)]
    raise AssertionError(head)
