"""Oriented boxes equal those of a plain reader, from the exporter's file to corners in the frame: one loop per box,
suppressed by ProbIoU from the paper's definitions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sightd.engines.heads import is_oriented, suppresses
from sightd.engines.model import ColourOrder, InputSpec, Resize
from sightd.engines.models.custom_file import found_in, model_from_file
from sightd.plugins.activity.config import GateOptions
from sightd.plugins.api import Detections, Frame, Image, OrientedBoxes, PluginError, PrivacyMask, Results
from sightd.plugins.configuration.model_choice import ModelChoice
from sightd.plugins.detector import Detector
from sightd.plugins.detector.config import DetectorConfig
from sightd.plugins.detector.heads.registry import HEADS
from sightd.plugins.detector.looking import LookingDetector
from sightd.plugins.detector.shaped import Shaped
from sightd.plugins.look.config import LookOptions
from sightd.plugins.look.merging import Suppression
from sightd.plugins.look.sheets import ImageSource
from tests.engines.test_boxes import prob_iou
from tests.plugins.detector.heads.families import CLASSES, HEIGHT, ROWS, WIDTH
from tests.support.exports import ultralytics, write_export
from tests.support.onnx_models import FileContext

Array = NDArray[Any]
SPEC = InputSpec("images", WIDTH, HEIGHT, ColourOrder.RGB, Resize.LETTERBOX_CENTRE)
LEAST = np.array([0.3, 0.6, np.inf], np.float32)
HEADS_OF_TASK = ("yolo-obb", "yolo-obb-end-to-end")


def turned_boxes(random: np.random.Generator) -> Array:
    """Returns rows of x, y, w, h in pixels of the input, and of the angle."""
    centre = random.uniform(0.2, 0.8, (ROWS, 2)) * [WIDTH, HEIGHT]
    size = random.uniform(0.05, 0.4, (ROWS, 2)) * [WIDTH, HEIGHT]
    return np.concatenate((centre, size, random.uniform(-math.pi / 4, 3 * math.pi / 4, (ROWS, 1))), axis=1)


def written(head: str, seed: int) -> Array:
    """Returns the output of one image: [8, n] raw, [n, 7] end to end."""
    random = np.random.default_rng(seed)
    boxes = turned_boxes(random)
    if head == "yolo-obb":
        rows = np.concatenate((boxes[:, :4], random.uniform(0, 1, (ROWS, CLASSES)), boxes[:, 4:]), axis=1)
        return np.ascontiguousarray(rows.T.astype(np.float32))
    classes = random.integers(0, CLASSES, (ROWS, 1))
    return np.concatenate((boxes[:, :4], random.uniform(0, 1, (ROWS, 1)), classes, boxes[:, 4:]), 1).astype(np.float32)


Found = tuple[list[float], float, int]
"""x, y, w, h, angle in the input; score; class."""


def read(head: str, output: Array) -> list[Found]:
    """Returns every box with every class that it may have."""
    if head == "yolo-obb":
        rows = output.T.astype(float).tolist()
        return [([*row[:4], row[-1]], row[4 + kind], kind) for row in rows for kind in range(CLASSES)]
    return [([*row[:4], row[6]], row[4], int(row[5])) for row in output.astype(float).tolist()]


def corners_of(box: list[float]) -> list[tuple[float, float]]:
    x, y, w, h, angle = box
    signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    offsets = [(a * w / 2, b * h / 2) for a, b in signs]
    cosine, sine = math.cos(angle), math.sin(angle)
    return [(x + u * cosine - v * sine, y + u * sine + v * cosine) for u, v in offsets]


@pytest.mark.parametrize("head", HEADS_OF_TASK)
def test_boxes_are_decoded_as_a_plain_reader_does_it(head: str) -> None:
    images = [written(head, seed) for seed in (1, 2)]
    for candidates, image in zip(HEADS[head]({"output0": np.stack(images)}, SPEC, LEAST), images, strict=True):
        expected = [found for found in read(head, image) if found[1] >= LEAST[found[2]]]
        corners = np.array([corners_of(box) for box, _, _ in expected])
        assert len(expected) > 5
        assert candidates.corners is not None
        np.testing.assert_allclose(candidates.corners, corners, atol=0.01)
        np.testing.assert_allclose(candidates.boxes[:, :2], corners.min(axis=1), atol=0.01)
        np.testing.assert_allclose(candidates.boxes[:, 2:], corners.max(axis=1), atol=0.01)
        np.testing.assert_allclose(candidates.scores, [score for _, score, _ in expected], atol=1e-5)
        assert candidates.class_ids.tolist() == [kind for _, _, kind in expected]
        assert candidates.corners.dtype == candidates.boxes.dtype == np.float32


def test_the_transposed_raw_form_is_read_as_well() -> None:
    raw = written("yolo-obb", 3)[None]
    (one,), (other,) = (HEADS["yolo-obb"]({"output": output}, SPEC, LEAST) for output in (raw, np.swapaxes(raw, 1, 2)))
    assert one.corners is not None
    assert other.corners is not None
    np.testing.assert_array_equal(one.corners, other.corners)


def exported(folder: Path, head: str, output: Array) -> Path:
    more = {"end2end": "True"} if suppresses(head) else {}
    return write_export(folder / "best.onnx", {"output0": output}, metadata=ultralytics("obb", None, **more))


def opened(folder: Path, head: str, output: Array, **options: Any) -> Detector:
    model = model_from_file(exported(folder, head, output))
    assert (model.head, is_oriented(model.head)) == (head, True)
    detector = Detector(DetectorConfig(model=ModelChoice("best"), **options))
    detector.open(FileContext(catalogue={"best": model}))
    return detector


def run(detector: Detector, width: int = WIDTH, height: int = HEIGHT) -> tuple[Detections, OrientedBoxes]:
    (results,) = detector.process([Frame.of(np.zeros((height, width, 3), np.uint8))], [Results()])
    found, oriented = results.get(Detections), results.get(OrientedBoxes)
    assert found is not None
    assert oriented is not None
    return found, oriented


def suppressed(found: list[Found], max_iou: float) -> list[Found]:
    """Greedy suppression in its textbook form."""
    kept: list[Found] = []
    for box, score, kind in sorted(found, key=lambda one: -one[1]):
        others = [other for other, _, other_kind in kept if other_kind == kind]
        if all(prob_iou(box, other) <= max_iou for other in others):
            kept.append((box, score, kind))
    return kept


@pytest.mark.parametrize("head", HEADS_OF_TASK)
@pytest.mark.parametrize(("width", "height"), [(96, 64), (240, 80)], ids=["as the input", "letterboxed"])
def test_the_metadata_of_the_file_is_enough(tmp_path: Path, head: str, width: int, height: int) -> None:
    output = written(head, 5)
    detector = opened(tmp_path, head, output, min_score=0.4, max_detections=1000)
    every = [one for one in read(head, output) if one[1] >= 0.4]
    expected = every if suppresses(head) else suppressed(every, detector.config.nms_iou)
    expected.sort(key=lambda one: -one[1])
    found, oriented = run(detector, width, height)
    assert len(found) == len(oriented) == len(expected) > 10
    assert suppresses(head) or len(expected) < len(every)
    scale = min(WIDTH / width, HEIGHT / height)
    offset = (WIDTH - width * scale) / 2, (HEIGHT - height * scale) / 2
    corners = (np.array([corners_of(box) for box, _, _ in expected]) - offset) / scale
    np.testing.assert_allclose(oriented.corners, corners, atol=0.5)
    np.testing.assert_allclose(found.scores, [score for _, score, _ in expected], atol=1e-3)
    assert found.class_ids.tolist() == [kind for _, _, kind in expected]
    upright = np.concatenate((corners.min(axis=1), corners.max(axis=1)), axis=1)
    np.testing.assert_allclose(found.boxes, np.clip(upright, 0, [width, height] * 2), atol=0.5)


def test_inspection_says_that_the_file_finds_oriented_boxes(tmp_path: Path) -> None:
    found = found_in(exported(tmp_path, "yolo-obb", written("yolo-obb", 1)))
    assert found.shapes == "oriented boxes"
    assert "task obb" in found.reasons[0]


def raw(*boxes: tuple[float, float, float, float, float], scores: tuple[float, ...]) -> Array:
    rows = [[*box[:4], score, 0, 0, box[4]] for box, score in zip(boxes, scores, strict=True)]
    return np.array(rows, np.float32).T.copy()


CROSSING = ((48, 32, 40, 6, math.pi / 4), (48, 32, 40, 6, 3 * math.pi / 4), (49, 32, 40, 6, math.pi / 4))


def test_objects_that_cross_are_both_kept_although_the_boxes_around_them_are_the_same(tmp_path: Path) -> None:
    found, oriented = run(opened(tmp_path, "yolo-obb", raw(*CROSSING, scores=(0.9, 0.8, 0.7))))
    assert found.scores.tolist() == pytest.approx([0.9, 0.8])
    np.testing.assert_allclose(found.boxes[0], found.boxes[1], atol=1e-3)
    np.testing.assert_allclose(oriented.corners[1], corners_of(list(CROSSING[1])), atol=0.01)


def test_what_is_redacted_is_the_box_around_the_object(tmp_path: Path) -> None:
    detector = opened(tmp_path, "yolo-obb", raw(CROSSING[0], scores=(0.9,)), redact=["class 0"])
    (results,) = detector.process([Frame.of(np.zeros((HEIGHT, WIDTH, 3), np.uint8))], [Results()])
    mask, found = results.get(PrivacyMask), results.get(Detections)
    assert mask is not None
    assert found is not None
    np.testing.assert_array_equal(mask.boxes, found.boxes)


def test_an_angle_that_is_not_a_number_is_an_error(tmp_path: Path) -> None:
    output = written("yolo-obb", 1)
    output[-1] = np.nan
    with pytest.raises(PluginError, match=r"head 'yolo-obb': .* boxes are inverted, outside the image or not numbers"):
        opened(tmp_path, "yolo-obb", output)


class RedBars:
    """Finds turned red rectangles in images of any size, as a model with oriented boxes does."""

    def shaped(self, images: Sequence[ImageSource]) -> list[Shaped]:
        return [self._in(image.host()) for image in images]

    def _in(self, image: Image) -> Shaped:
        red = (image[..., 2].astype(int) - image[..., 0] > 100).astype(np.uint8)
        outlines, _ = cv2.findContours(red, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        bars = [cv2.boxPoints(cv2.minAreaRect(outline)) for outline in outlines if len(outline) > 40]
        corners = np.array(bars, np.float32).reshape(-1, 4, 2)
        boxes = np.concatenate((corners.min(axis=1), corners.max(axis=1)), axis=1)
        found = Detections(boxes, np.full(len(boxes), 0.6, np.float32), np.zeros(len(boxes), np.int64), ("bar",))
        return Shaped(found, oriented=OrientedBoxes(corners))


@pytest.mark.parametrize("look", ["tiles", "regions"])
def test_objects_found_in_parts_of_the_frame_lie_as_in_the_frame(look: str) -> None:
    image = np.full((540, 960, 3), 110, np.uint8)
    bars = [corners_of([x, y, 90, 14, angle]) for x, y, angle in ((150, 150, 0.6), (700, 300, 2.0))]
    for bar in bars:
        cv2.fillPoly(image, [np.rint(bar).astype(np.int32)], (20, 20, 230))
    suppression = Suppression(0.5, agnostic=False, within_views=False)
    options = LookOptions.model_validate({"mode": look}), GateOptions.model_validate({"mode": "off"})
    detector = LookingDetector(
        RedBars(), ("bar",), (320, 320), suppression, *options, lambda found, width, height: found
    )
    for number in range(20):
        ((found, _),) = detector.find([Frame.of(image, seq=number, captured_at=50 + number / 5)])
    assert found.oriented is not None
    assert len(found) == len(found.oriented) == 2
    for bar in bars:
        truth = cv2.minAreaRect(np.array(bar, np.float32))
        shares = []
        for corners in found.oriented.corners:
            _, shared = cv2.rotatedRectangleIntersection(truth, cv2.minAreaRect(corners))
            both = 0.0 if shared is None else cv2.contourArea(cv2.convexHull(shared))
            shares.append(both / (90 * 14 + cv2.contourArea(corners) - both))
        assert max(shares) > 0.75
