"""Which of a model's candidates are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from sightd.engines.preprocess import Geometry
from sightd.plugins.api import Detections, PluginError
from sightd.plugins.detector.config import DetectorConfig
from sightd.plugins.detector.heads.decoding import Candidates
from sightd.plugins.detector.selection import Selection

LABELS = ("person", "car", "dog")
GEOMETRY = Geometry(0.5, 0.5, 0, 0, source_width=800, source_height=400)
"""The model sees 400x200 of an image of 800x400."""

Row = tuple[tuple[float, float, float, float], float, int]


def select(rows: Sequence[Row], **options: Any) -> Detections:
    selection = Selection(DetectorConfig(**options), LABELS)
    candidates = Candidates(
        np.array([row[0] for row in rows], np.float32).reshape(-1, 4),
        np.array([row[1] for row in rows], np.float32),
        np.array([row[2] for row in rows], np.int64),
    )
    return selection.detections(candidates, GEOMETRY)


PERSON: Row = ((10, 10, 30, 50), 0.75, 0)
CAR: Row = ((12, 10, 30, 50), 0.875, 1)
DOG: Row = ((300, 100, 320, 104), 0.5, 2)


def test_boxes_come_back_in_the_pictures_own_pixels_best_first() -> None:
    found = select([PERSON, DOG, CAR])
    assert found.boxes.tolist() == [[24, 20, 60, 100], [20, 20, 60, 100], [600, 200, 640, 208]]
    assert found.scores.tolist() == [0.875, 0.75, 0.5]
    assert found.class_ids.tolist() == [1, 0, 2]
    assert found.labels == LABELS


def test_no_candidate_is_no_detection() -> None:
    found = select([])
    assert (len(found), found.labels) == (0, LABELS)
    assert found.boxes.shape == (0, 4)
    assert found.boxes.dtype == found.scores.dtype == np.float32
    assert found.class_ids.dtype == np.int64


def test_only_the_best_so_many_are_given() -> None:
    assert select([PERSON, DOG, CAR], max_detections=2).class_ids.tolist() == [1, 0]


def test_the_shorter_side_counts_in_pixels_of_the_picture() -> None:
    assert select([PERSON, DOG], min_size=8).class_ids.tolist() == [0, 2]
    assert select([PERSON, DOG], min_size=8.5).class_ids.tolist() == [0]


def test_a_box_outside_the_picture_or_of_no_numbers_is_no_object() -> None:
    outside: Row = ((-30, 10, -10, 50), 0.9, 0)
    broken: Row = ((float("nan"), 10, 20, 50), 0.9, 0)
    assert select([outside, broken, PERSON], min_size=0).class_ids.tolist() == [0]


def test_regions_take_what_stands_in_them() -> None:
    left_half = [[[0, 0], [0.5, 0], [0.5, 1], [0, 1]]]
    assert select([PERSON, DOG], only_inside=left_half).class_ids.tolist() == [0]
    assert select([PERSON, DOG], ignore=left_half).class_ids.tolist() == [2]


def test_a_weaker_box_does_not_come_through_because_the_better_one_stands_outside() -> None:
    whole: Row = ((10, 10, 30, 52), 0.9, 0)
    upper: Row = ((10, 10, 30, 48), 0.8, 0)
    above = [[[0, 0], [1, 0], [1, 0.25], [0, 0.25]]]  # ends at line 50 of the model's 200
    assert len(select([whole, upper], only_inside=above)) == 0
    assert len(select([upper], only_inside=above)) == 1


def test_a_limit_counts_what_passes_the_filters_only() -> None:
    left_half = [[[0, 0], [0.5, 0], [0.5, 1], [0, 1]]]
    assert select([PERSON, CAR, DOG], ignore=left_half, max_detections=1).class_ids.tolist() == [2]


def test_classes_compete_if_configured() -> None:
    assert select([PERSON, CAR], agnostic=True).class_ids.tolist() == [1]


def test_a_class_that_is_not_asked_for_competes_all_the_same() -> None:
    assert select([PERSON, CAR], agnostic=True, classes=["person"]).class_ids.tolist() == []
    assert select([PERSON], agnostic=True, classes=["person"]).class_ids.tolist() == [0]


def test_without_competition_other_classes_are_not_even_decoded() -> None:
    selection = Selection(DetectorConfig(classes=["dog"], class_min_score={"dog": 0.5}), LABELS)
    assert selection.min_score.tolist() == [np.inf, np.inf, 0.5]


@pytest.mark.parametrize("options", [{"classes": ["perso"]}, {"class_min_score": {"perso": 0.5}}])
def test_an_unknown_class_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(PluginError, match='did you mean "person"'):
        Selection(DetectorConfig(**options), LABELS)
