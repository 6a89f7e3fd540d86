"""Masks and keypoints equal those of a plain reader: logits upscaled to the model's input, one loop per box."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sightd.engines.labels import COCO_KEYPOINTS, COCO_SKELETON
from sightd.engines.models.custom_file import Stated, model_from_file
from sightd.engines.models.label_files import ClassNames
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from sightd.plugins.api import Detections, Frame, Keypoints, Masks, PluginError, Results
from sightd.plugins.configuration.model_choice import ModelChoice
from sightd.plugins.detector import Detector
from sightd.plugins.detector.config import DetectorConfig
from sightd.plugins.detector.heads.shapes import ShapeReader
from tests.plugins.detector.heads.families import HEIGHT, ROWS, WIDTH, WRITERS
from tests.support.exports import ultralytics, write_export
from tests.support.onnx_models import FileContext

PROTOTYPES = 32
POINTS = 17
LABELS = ("class 0", "class 1", "class 2")
FRAMES = {"as the input": (96, 64), "letterboxed": (120, 40), "larger": (384, 256)}
"""Sizes (width, height) of frames."""


def smooth(random: np.random.Generator, count: int) -> NDArray[np.float32]:
    """Returns planes [count, h/4, w/4] as networks make them: neighbours differ little."""
    down, across = np.mgrid[: HEIGHT // 4, : WIDTH // 4]
    waves = random.uniform(0.1, 0.5, (count, 2, 1, 1))
    phase = random.uniform(0, 6, (count, 1, 1))
    return np.asarray(np.sin(waves[:, 0] * down + waves[:, 1] * across + phase), np.float32)


def segmentation(head: str, random: np.random.Generator) -> dict[str, NDArray[Any]]:
    outputs = dict(WRITERS[head](random))
    if head == "rf-detr":
        return {**outputs, "masks": smooth(random, ROWS)}
    coefficients = random.normal(0, 1, (ROWS, PROTOTYPES)).astype(np.float32)
    axis = 0 if head == "yolo" else 1
    more = coefficients.T if head == "yolo" else coefficients
    return {
        "output0": np.concatenate((outputs["output0"], more), axis=axis),
        "output1": smooth(random, PROTOTYPES),
    }


def written(folder: Path, head: str, outputs: Mapping[str, NDArray[Any]], task: str, **metadata: str) -> Detector:
    stated = Stated()
    if head in ("yolo", "yolo-end-to-end"):
        more = metadata | ({"end2end": "True"} if head == "yolo-end-to-end" else {})
        path = write_export(folder / "best.onnx", outputs, metadata=ultralytics(task, None, **more))
    else:
        path = write_export(folder / "best.onnx", outputs)
        stated = Stated(head, ClassNames.listed(LABELS))
    detector = Detector(DetectorConfig(model=ModelChoice("best"), min_score=0.3))
    detector.open(FileContext(catalogue={"best": model_from_file(path, stated)}))
    return detector


def run(detector: Detector, width: int, height: int) -> Results:
    image = np.zeros((height, width, 3), np.uint8)
    return detector.process([Frame.of(image)] * 2, [Results()] * 2)[1]


def upscaled(plane: NDArray[np.float32]) -> NDArray[np.float64]:
    """Returns a plane at the size of the input, bilinear between the centres of its cells."""
    rows, columns = plane.shape
    result = np.zeros((HEIGHT, WIDTH))
    for y in range(HEIGHT):
        for x in range(WIDTH):
            v = min(max((y + 0.5) * rows / HEIGHT - 0.5, 0), rows - 1)
            u = min(max((x + 0.5) * columns / WIDTH - 0.5, 0), columns - 1)
            top, left = math.floor(v), math.floor(u)
            below, right = min(top + 1, rows - 1), min(left + 1, columns - 1)
            upper = plane[top, left] * (1 - u + left) + plane[top, right] * (u - left)
            lower = plane[below, left] * (1 - u + left) + plane[below, right] * (u - left)
            result[y, x] = upper * (1 - v + top) + lower * (v - top)
    return result


def geometry(head: str, width: int, height: int) -> tuple[float, float, int, int]:
    """Returns scale and offset of the frame in the input, as the family's authors place it."""
    if head == "rf-detr":
        return WIDTH / width, HEIGHT / height, 0, 0
    ratio = min(WIDTH / width, HEIGHT / height)
    return ratio, ratio, (WIDTH - round(width * ratio)) // 2, (HEIGHT - round(height * ratio)) // 2


def row_of(head: str, outputs: Mapping[str, NDArray[Any]], score: float) -> int:
    """Returns the row of the model's output with this score: no two are equal."""
    table = outputs["labels"] if head == "rf-detr" else outputs["output0"]
    if head == "yolo":
        scores = table.T[:, 4:7]
    elif head == "yolov5":
        scores = table[:, 4:5] * table[:, 5:8]
    elif head == "yolo-end-to-end":
        scores = table[:, 4:5]
    else:
        scores = 1 / (1 + np.exp(-table[:, :3].astype(np.float64)))
    return int(np.abs(scores - score).min(axis=1).argmin())


@pytest.mark.parametrize("size", FRAMES.values(), ids=FRAMES)
@pytest.mark.parametrize("head", ["yolo", "yolov5", "yolo-end-to-end", "rf-detr"])
def test_masks_are_those_of_a_plain_reader(tmp_path: Path, head: str, size: tuple[int, int]) -> None:
    outputs = segmentation(head, np.random.default_rng(4))
    results = run(written(tmp_path, head, outputs, task="segment"), *size)
    found, masks = results.get(Detections), results.get(Masks)
    assert found is not None
    assert masks is not None
    assert len(found) == len(masks) > 5
    scale_x, scale_y, left, top = geometry(head, *size)
    for index in range(6):
        row = row_of(head, outputs, float(found.scores[index]))
        if head == "rf-detr":
            plane = outputs["masks"][row]
        else:
            coefficients = outputs["output0"].T[row] if head == "yolo" else outputs["output0"][row]
            plane = sum(c * p for c, p in zip(coefficients[-PROTOTYPES:], outputs["output1"], strict=True))
        logits = upscaled(np.asarray(plane, np.float32))
        drawn = masks.drawn(index)
        assert drawn is not None
        height, width = drawn.inside.shape
        checked = 0
        for y in range(height):
            for x in range(width):
                u = (drawn.left + x + 0.5) * scale_x + left - 0.5
                v = (drawn.top + y + 0.5) * scale_y + top - 0.5
                near = logits[
                    max(math.floor(v) - 1, 0) : math.floor(v) + 3, max(math.floor(u) - 1, 0) : math.floor(u) + 3
                ]
                if near.size and (near.min() > 0 or near.max() < 0):  # not at the border of the mask
                    assert drawn.inside[y, x] == (near.min() > 0)
                    checked += 1
        assert checked > 0.3 * height * width
        assert abs(drawn.left - found.boxes[index, 0]) <= 1
        assert abs(drawn.top + height - found.boxes[index, 3]) <= 1


@pytest.mark.parametrize("values", [3, 2])
@pytest.mark.parametrize("head", ["yolo", "yolo-end-to-end"])
@pytest.mark.parametrize("size", FRAMES.values(), ids=FRAMES)
def test_keypoints_are_those_of_a_plain_reader(tmp_path: Path, size: tuple[int, int], head: str, values: int) -> None:
    random = np.random.default_rng(5)
    outputs = dict(WRITERS[head](random))
    points = random.uniform(0, 1, (ROWS, POINTS, values)) * np.array([WIDTH, HEIGHT, 1])[:values]
    more = points.reshape(ROWS, -1).astype(np.float32)
    outputs["output0"] = np.concatenate(
        (outputs["output0"], more.T if head == "yolo" else more), axis=0 if head == "yolo" else 1
    )
    results = run(written(tmp_path, head, outputs, task="pose", kpt_shape=f"[{POINTS}, {values}]"), *size)
    found, keypoints = results.get(Detections), results.get(Keypoints)
    assert found is not None
    assert keypoints is not None
    assert results.get(Masks) is None
    assert (keypoints.names, keypoints.skeleton) == (COCO_KEYPOINTS, COCO_SKELETON)
    assert len(found) == len(keypoints) > 5
    scale_x, scale_y, left, top = geometry(head, *size)
    for index in range(len(found)):
        row = row_of(head, outputs, float(found.scores[index]))
        for number in range(POINTS):
            x, y = (points[row, number, 0] - left) / scale_x, (points[row, number, 1] - top) / scale_y
            np.testing.assert_allclose(keypoints.points[index, number], [x, y], atol=0.02)
            visible = points[row, number, 2] if values == 3 else 1
            assert keypoints.scores[index, number] == pytest.approx(visible, abs=1e-3)


def pose(random: np.random.Generator, points: int) -> dict[str, NDArray[Any]]:
    outputs = dict(WRITERS["yolo"](random))
    outputs["output0"] = np.concatenate((outputs["output0"], np.full((3 * points, ROWS), 0.5, np.float32)))
    return outputs


def test_keypoints_have_the_names_of_the_metadata(tmp_path: Path) -> None:
    names = {0: ["stem", "tip"]}
    outputs = pose(np.random.default_rng(6), 2)
    detector = written(tmp_path, "yolo", outputs, task="pose", kpt_shape="[2, 3]", kpt_names=repr(names))
    found = run(detector, 96, 64).get(Keypoints)
    assert found is not None
    assert list(found.names) == ast.literal_eval(repr(names))[0]


def test_keypoints_without_names_are_numbered(tmp_path: Path) -> None:
    detector = written(tmp_path, "yolo", pose(np.random.default_rng(6), 2), task="pose", kpt_shape="[2, 3]")
    found = run(detector, 96, 64).get(Keypoints)
    assert found is not None
    assert found.names == ("point 0", "point 1")


def test_a_visibility_that_is_no_probability_is_refused(tmp_path: Path) -> None:
    outputs = pose(np.random.default_rng(6), 2)
    outputs["output0"][-1] = 4
    with pytest.raises(PluginError, match="visibility of keypoints is not 0 to 1"):
        written(tmp_path, "yolo", outputs, task="pose", kpt_shape="[2, 3]").process(
            [Frame.of(np.zeros((64, 96, 3), np.uint8))], [Results()]
        )


@pytest.mark.parametrize("option", ["masks", "keypoints"])
def test_shapes_can_be_switched_off(tmp_path: Path, option: str) -> None:
    random = np.random.default_rng(7)
    outputs = segmentation("yolo", random) if option == "masks" else pose(random, 2)
    metadata = {"task": "segment"} if option == "masks" else {"task": "pose", "kpt_shape": "[2, 3]"}
    path = write_export(tmp_path / "best.onnx", outputs, metadata=ultralytics(**metadata))  # type: ignore[arg-type]
    detector = Detector(DetectorConfig.model_validate({"model": "best", option: False}))
    detector.open(FileContext(catalogue={"best": model_from_file(path)}))
    results = run(detector, 96, 64)
    assert Detections in results
    assert Masks not in results
    assert Keypoints not in results


def test_masks_of_many_objects_take_no_more_memory(tmp_path: Path) -> None:
    outputs = segmentation("rf-detr", np.random.default_rng(8))
    outputs["labels"][:] = 3
    path = write_export(tmp_path / "best.onnx", outputs)
    model = model_from_file(path, Stated("rf-detr", ClassNames.listed(LABELS)))
    detector = Detector(DetectorConfig(model=ModelChoice("best"), max_detections=10_000))
    detector.open(FileContext(catalogue={"best": model}))
    masks = run(detector, 96, 64).get(Masks)
    assert masks is not None
    assert len(masks) == ROWS * 3
    assert sum(crop.nbytes for crop in masks.crops) <= 100 * 160 * 160
    assert max(max(crop.shape) for crop in masks.crops) <= 160 * math.sqrt(100 / len(masks))


def test_of_query_masks_only_those_of_reported_boxes_are_needed_and_nothing_without_masks(tmp_path: Path) -> None:
    path = write_export(tmp_path / "best.onnx", segmentation("rf-detr", np.random.default_rng(9)))
    model = model_from_file(path, Stated("rf-detr", ClassNames.listed(LABELS)))
    session = OnnxRuntimeSession(path, threads=1)
    reader = ShapeReader(model, session.outputs)
    session.close()
    assert reader.outputs(masks=True, keypoints=True) == {"masks": True}
    assert reader.outputs(masks=False, keypoints=True) == {}
