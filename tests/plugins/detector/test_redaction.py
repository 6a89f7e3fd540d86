"""What the detector redacts, and which options it refuses because an object would be shown before it was analysed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightd.engines.models.catalog import Catalog
from sightd.engines.models.custom_file import model_from_file
from sightd.plugins.api import BoolArray, Detections, Frame, Masks, PluginError, PrivacyMask, Results
from sightd.plugins.detector import Detector
from sightd.plugins.detector.config import DetectorConfig
from sightd.plugins.detector.redaction import privacy_mask
from sightd.plugins.detector.shaped import Shaped
from tests.plugins.detector.heads.families import WRITERS
from tests.support.exports import ultralytics, write_export
from tests.support.onnx_models import FileContext

FRAME = Frame.of(np.zeros((200, 300, 3), np.uint8))
PERSON = frozenset({0})


def found(*boxes: tuple[float, ...], classes: tuple[int, ...] = (0,), crop: BoolArray | None = None) -> Shaped:
    corners = np.array(boxes, np.float32).reshape(-1, 4)
    count = len(corners)
    of = Detections(corners, np.ones(count, np.float32), np.array(classes[:count]), ("person", "dog"))
    return Shaped(of, None if crop is None else Masks(corners, (crop,) * count, (300, 200)))


def redacted(of: Shaped, most: int = 100) -> PrivacyMask:
    return privacy_mask(of, PERSON, FRAME, most)


def test_an_object_without_a_mask_is_redacted_by_its_box() -> None:
    mask = redacted(found((10, 10, 50, 90)))
    np.testing.assert_array_equal(mask.boxes, [[10, 10, 50, 90]])
    assert mask.crops == (None,)


def test_other_classes_are_shown() -> None:
    assert redacted(found((10, 10, 50, 90), (60, 10, 90, 90), classes=(1, 0))).boxes[:, 0].tolist() == [60]
    assert len(redacted(found((10, 10, 50, 90), classes=(1,))).boxes) == 0


def on_frame(mask: PrivacyMask) -> BoolArray:
    (crop,) = mask.crops
    assert crop is not None
    part = Masks(mask.boxes, (crop[:160, :160].copy(),), (300, 200)).drawn(0)
    assert part is not None
    whole = np.zeros((200, 300), np.bool_)
    height, width = part.inside.shape
    whole[part.top : part.top + height, part.left : part.left + width] = part.inside
    return whole


@pytest.mark.parametrize("box", [(100, 50, 160, 150), (0, 0, 60, 100), (240, 100, 300, 200)])
def test_a_mask_is_redacted_with_a_margin_within_the_frame(box: tuple[float, ...]) -> None:
    crop = np.ones((50, 30), np.bool_)
    crop[:25, 15:] = False
    mask = redacted(found(box, crop=crop))
    assert (mask.boxes >= -0.01).all()
    assert (mask.boxes <= [300.01, 200.01, 300.01, 200.01]).all()
    whole, x, y = on_frame(mask), int(box[0]), int(box[1])
    assert whole[y : y + 100, x : x + 30].all(), "the object itself"
    assert whole[y + 50 : y + 100, x : x + 60].all()
    assert whole[y + 10, x + 30 : x + 34].all(), "a margin of 6 pixels"
    assert not whole[y : y + 40, x + 45 : x + 60].any(), "what is beside it in the box"
    if y > 10:
        assert whole[y - 4, x + 10]


def test_a_mask_that_covers_next_to_nothing_is_not_trusted() -> None:
    crop = np.zeros((20, 20), np.bool_)
    crop[0, :8] = True
    assert redacted(found((10, 10, 50, 90), crop=crop)).crops == (None,)


def test_if_objects_may_have_been_left_out_the_whole_frame_is_redacted() -> None:
    full = found((10, 10, 50, 90), (60, 10, 90, 90), classes=(1, 1))
    np.testing.assert_array_equal(redacted(full, most=2).boxes, [[0, 0, 300, 200]])


def opened(folder: Path, **options: Any) -> Detector:
    outputs = dict(WRITERS["yolo"](np.random.default_rng(1)))
    outputs["output0"] = np.concatenate((outputs["output0"], np.ones((32, 60), np.float32)))
    outputs["output1"] = np.ones((32, 16, 24), np.float32)
    model = model_from_file(write_export(folder / "best.onnx", outputs, metadata=ultralytics("segment")))
    detector = Detector(DetectorConfig.model_validate({"model": "best", **options}))
    detector.open(FileContext(catalogue={"best": model}))
    return detector


def test_the_detector_reports_what_it_redacts_or_nothing_to_redact_at_all(tmp_path: Path) -> None:
    frame = Frame.of(np.zeros((64, 96, 3), np.uint8))
    detector = opened(tmp_path, redact=["Class 1"], max_detections=1000)
    assert detector.redacts
    (results,) = detector.process([frame], [Results()])
    objects, mask = results.get(Detections), results.get(PrivacyMask)
    assert objects is not None
    assert mask is not None
    assert len(mask.boxes) == (objects.class_ids == 1).sum() > 0
    assert all(crop is not None for crop in mask.crops)
    (results,) = opened(tmp_path).process([frame], [Results()])
    assert PrivacyMask not in results
    assert not opened(tmp_path).redacts


def test_a_class_that_the_model_does_not_know_cannot_be_redacted(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="redact: the model has no class 'cat'"):
        opened(tmp_path, redact=["cat"])


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("every", 2),
        ("max_fps", 5),
        ("look", "regions"),
        ("look", {"mode": "tiles"}),
        ("gate", "activity"),
        ("only_inside", [[[0, 0], [1, 0], [1, 1]]]),
        ("ignore", [[[0, 0], [1, 0], [1, 1]]]),
    ],
)
def test_options_with_which_somebody_would_be_shown_are_refused(option: str, value: object) -> None:
    def problems(**options: Any) -> Mapping[tuple[str | int, ...], str]:
        config = DetectorConfig.model_validate({"model": "deimv2-femto", option: value, **options})
        return {problem.path: problem.message for problem in config.problems(Catalog.load())}

    assert problems() == {}
    assert problems(redact=["person"]) == {(option,): "cannot be combined with redact, which needs all of every frame"}


def test_a_class_that_is_not_reported_cannot_be_redacted() -> None:
    config = DetectorConfig.model_validate({"model": "deimv2-femto", "classes": ["dog"], "redact": ["person"]})
    (problem,) = config.problems(Catalog.load())
    assert (problem.path, problem.message) == (("redact", 0), "'person' is not among classes")
    config = DetectorConfig.model_validate({"model": "deimv2-femto", "redact": ["persn"]})
    (problem,) = config.problems(Catalog.load())
    assert "has no class 'persn'" in problem.message
