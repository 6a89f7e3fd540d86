"""A real model on real photographs: the whole path from an image to named boxes."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from sightd.engines.geometry import iou
from sightd.engines.labels import COCO_LABELS
from sightd.plugins.api import Detections, Frame, Results
from sightd.plugins.detector import Detector
from sightd.plugins.detector.config import DetectorConfig
from tests.support import media
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
