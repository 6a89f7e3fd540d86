"""A real model on real photographs: the whole path from an image to named boxes."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest

from sightd.engines.geometry import iou
from sightd.engines.labels import COCO_LABELS
from sightd.plugins.api import Detections, Frame, Results
from sightd.plugins.detector import Detector
from sightd.plugins.detector.config import DetectorConfig
from tests.support import media
from tests.support.networks import stored
from tests.support.onnx_models import FileContext


@pytest.fixture(scope="module")
def detector() -> Detector:
    mirror = os.environ.get("SIGHTD_MODEL_MIRROR")
    file = Path(mirror or ".") / "yolox_nano.onnx"
    if mirror is None or not file.is_file():
        pytest.skip("SIGHTD_MODEL_MIRROR is not a folder with yolox_nano.onnx")
    own = {"file": str(file), "head": "yolox", "labels": list(COCO_LABELS)}
    detector = Detector(DetectorConfig.model_validate({"model": own, "min_score": 0.6}))
    detector.open(FileContext())
    return detector


def seen(detector: Detector, photograph: str) -> tuple[list[str], Detections]:
    image = cv2.imread(str(media.path(photograph)))
    assert image is not None
    (results,) = detector.process([Frame.of(image.astype(np.uint8))], [Results()])
    found = results.get(Detections)
    assert found is not None
    return sorted(found.labels[i] for i in found.class_ids), found


@pytest.mark.parametrize(
    ("photograph", "objects"),
    [
        ("astronaut.png", ["person"]),
        ("chelsea.png", ["cat"]),
        ("coffee.png", ["cup", "dining table"]),
        ("motorcycle_left.png", ["motorcycle"]),
        ("multi_face.jpg", ["person"] * 5),
    ],
)
def test_it_names_what_is_on_a_photograph(detector: Detector, photograph: str, objects: list[str]) -> None:
    assert seen(detector, photograph)[0] == objects


@pytest.mark.parametrize(
    ("photograph", "box"),
    [("coffee.png", [160, 16, 425, 300]), ("motorcycle_left.png", [105, 65, 715, 450])],
)
def test_the_box_lies_around_the_object_in_the_photographs_own_pixels(
    detector: Detector, photograph: str, box: list[float]
) -> None:
    """The boxes were marked by hand. The images are not square, so an error in the letterbox would show."""
    best = seen(detector, photograph)[1].boxes[:1]
    assert iou(best, np.array([box], np.float32))[0, 0] > 0.85


@pytest.mark.parametrize("photograph", ["coffee.png", "motorcycle_left.png", "multi_face.jpg"])
@pytest.mark.parametrize("name", ["deimv2-femto", "deimv2-atto"])
def test_a_file_of_deim_without_options_gives_what_its_authors_code_gives(name: str, photograph: str) -> None:
    """The authors resize to a square, divide by 255, and give the model the size of the photograph, in whose pixels the
    boxes then are."""
    file = stored(name)
    image = np.asarray(cv2.imread(str(media.path(photograph))), np.uint8)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    side = session.get_inputs()[0].shape[2]
    square = cv2.cvtColor(cv2.resize(image, (side, side)), cv2.COLOR_BGR2RGB).astype(np.float32) / 255
    size = np.array([[image.shape[1], image.shape[0]]], np.int64)
    labels, boxes, scores = session.run(
        ["labels", "boxes", "scores"], {"images": square.transpose(2, 0, 1)[None], "orig_target_sizes": size}
    )
    strong = scores[0] >= 0.25
    detector = Detector(DetectorConfig.model_validate({"model": str(file)}))
    detector.open(FileContext())
    found = seen(detector, photograph)[1]
    assert len(found) == np.count_nonzero(strong) > 1
    inside = np.clip(boxes[0][strong], 0, [*size[0], *size[0]])
    np.testing.assert_allclose(found.boxes, inside, atol=0.5)
    np.testing.assert_allclose(found.scores, scores[0][strong], atol=1e-3)
    assert found.class_ids.tolist() == labels[0][strong].tolist()
    assert found.labels == COCO_LABELS
