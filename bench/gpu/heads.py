"""Checks box decoding and suppression on the GPU against the CPU path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.gpu.desk import Desk
from bench.gpu.row import Row, within
from sightd.engines.cuda.gpus import Gpu
from sightd.engines.cuda.launch.detect import BoxSelection, Detect
from sightd.engines.cuda.launch.heads import DeviceTensor
from sightd.engines.heads import suppresses
from sightd.engines.model import ColourOrder, InputSpec, Resize
from sightd.engines.preprocess import Geometry
from sightd.plugins.api import Detections
from sightd.plugins.detector.config import DetectorConfig
from sightd.plugins.detector.heads.registry import HEADS
from sightd.plugins.detector.selection import Selection
from sightd.plugins.face.yunet import decode
from sightd.plugins.geometry.nms import nms

_SPEC = InputSpec("images", 416, 416, ColourOrder.BGR, Resize.LETTERBOX_TOP_LEFT)
_GEOMETRY = Geometry(0.31, 0.297, 7.0, 11.0, 1280, 720)
_LABELS = tuple(f"class {i}" for i in range(20))
_ROWS = 52 * 52 + 26 * 26 + 13 * 13
_MOST_FACES = 100
_AIM = "same boxes and scores, within 0.001 px"

Outputs = Mapping[str, NDArray[Any]]


def rows(gpu: Gpu) -> list[Row]:
    found = []
    for head, outputs in _cases().items():
        with Desk(gpu) as desk:
            found.append(_check(desk, head, outputs))
    with Desk(gpu) as desk:
        found.append(_check_yunet(desk))
    return found


def _cases() -> Mapping[str, Outputs]:
    """Returns outputs whose scores all differ, so that the order of boxes is well defined."""
    rng = np.random.default_rng(3)
    scores = rng.random((2, _ROWS, len(_LABELS))) ** 8
    corners = rng.random((2, _ROWS, 2)) * 0.8
    boxes = np.concatenate((corners, corners + 0.02 + 0.2 * rng.random((2, _ROWS, 2))), axis=2)
    raw = np.concatenate((rng.normal(0.5, 0.7, (2, _ROWS, 4)), rng.random((2, _ROWS, 1)), scores), axis=2)
    sides = rng.normal(0, 2, (2, _ROWS, 32))
    of_queries = slice(0, 300)
    centred = np.concatenate(((boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]), axis=2)
    logits = np.log(scores / (1 - scores))
    of_head = {
        "ssd": {"boxes": boxes, "scores": scores},
        "yolox": {"output": raw},
        "nanodet": {"output": np.concatenate((scores, sides), axis=2)},
        "yolo": {"output0": np.concatenate((centred * _SPEC.width, scores), axis=2).transpose(0, 2, 1)},
        "detr": {"logits": logits[:, of_queries], "pred_boxes": centred[:, of_queries]},
        "detr-labelled": {
            "labels": rng.integers(0, len(_LABELS), (2, _ROWS)),
            "boxes": boxes * _SPEC.width,
            "scores": scores[..., 0],
        },
        "yolo-obb": {
            "output0": np.concatenate(
                (centred * _SPEC.width, scores, rng.uniform(-0.8, 2.4, (2, _ROWS, 1))), axis=2
            ).transpose(0, 2, 1)
        },
    }
    return {
        head: {
            name: np.ascontiguousarray(value, np.float32 if value.dtype.kind == "f" else np.int64)
            for name, value in outputs.items()
        }
        for head, outputs in of_head.items()
    }


def _check(desk: Desk, head: str, outputs: Outputs) -> Row:
    selection = Selection(DetectorConfig(min_score=0.5), _LABELS, suppressed=suppresses(head))
    candidates = HEADS[head](outputs, _SPEC, selection.min_score)
    expected = [selection.detections(of_picture, _GEOMETRY) for of_picture in candidates]
    tensors = {name: DeviceTensor(desk.put(v).address, v.shape, v.dtype) for name, v in outputs.items()}
    detect = Detect(desk.device, desk.kernels, head, _SPEC, selection.min_score, selection.choice, 2)
    desk.callback(detect.close)
    found = [selection.within_regions(one, _GEOMETRY) for one in detect.run(tensors, [_GEOMETRY] * 2, desk.stream)]
    same = all(one is not None and _same(one[0], other) for one, other in zip(found, expected, strict=True))
    boxes = sum(map(len, expected))
    figure = f"{boxes} boxes, " + ("all the same" if same else "others on the GPU")
    return within(f"head {head} against the CPU", figure, _AIM, same and boxes > 0)


def _check_yunet(desk: Desk) -> Row:
    rng, side = np.random.default_rng(5), _SPEC.width
    parts = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
    outputs = {
        f"{part}_{stride}": (rng.random((1, (side // stride) ** 2, columns)) ** 2).astype(np.float32)
        for stride in (8, 16, 32)
        for part, columns in parts.items()
    }
    (candidates,) = decode(outputs, side, side, 0.8)
    keep = nms(candidates.boxes, candidates.scores, None, 0.3, limit=_MOST_FACES)
    tensors = {name: DeviceTensor(desk.put(v).address, v.shape, v.dtype) for name, v in outputs.items()}
    choice, least = BoxSelection(0.3, _MOST_FACES, by_class=False), np.array([0.8], np.float32)
    detect = Detect(desk.device, desk.kernels, "yunet", _SPEC, least, choice, 1)
    desk.callback(detect.close)
    (found,) = detect.run(tensors, [Geometry(1.0, 1.0, 0.0, 0.0, side, side)], desk.stream)
    boxes = np.clip(candidates.boxes[keep], 0, side)
    assert found.points is not None
    same = (
        len(found.scores) == len(keep)
        and np.allclose(found.boxes, boxes, rtol=2e-6, atol=1e-3)
        and np.allclose(found.points, candidates.points[keep], rtol=2e-6, atol=1e-3)
    )
    figure = f"{len(keep)} faces, " + ("all the same" if same else "others on the GPU")
    return within("head yunet against the CPU", figure, _AIM, same and len(keep) > 0)


def _same(one: Detections, other: Detections) -> bool:
    return (
        np.array_equal(one.class_ids, other.class_ids)
        and np.allclose(one.scores, other.scores, rtol=1e-5, atol=0)
        and np.allclose(one.boxes, other.boxes, rtol=2e-6, atol=1e-3)
    )
