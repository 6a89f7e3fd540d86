"""Invalid results are rejected when they are constructed: in the plug-in, to which the fault then belongs."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sightd.plugins.api import Detections, FrameOverride, JsonOptions, Results, Tracks, label_of


def detections(boxes: Any, count: int) -> Detections:
    return Detections(np.asarray(boxes, np.float32), np.ones(count, np.float32), np.zeros(count, np.int64), ("thing",))


def test_detections_of_differing_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Detections\.scores has 2 rows, boxes has 1"):
        detections([[0, 0, 1, 1]], 2)


def carried(*rows: bool) -> Detections:
    return replace(detections([[0, 0, 1, 1]] * len(rows), len(rows)), carried=np.array(rows))


def test_no_detection_is_carried_unless_it_is_marked() -> None:
    assert detections([[0, 0, 1, 1]] * 2, 2).carried.tolist() == [False, False]
    with pytest.raises(ValueError, match=r"Detections\.carried has 1 rows, boxes has 2"):
        replace(carried(True, False), carried=np.array([True]))


def test_carried_detections_stay_marked_when_they_are_selected_or_sent_to_another_process() -> None:
    both = carried(True, False)
    assert both.select(np.array([1, 0])).carried.tolist() == [False, True]
    assert pickle.loads(pickle.dumps(both)).carried.tolist() == [True, False]


def test_carried_detections_are_not_counted() -> None:
    counts = [(count.value, count.number) for count in carried(True, False, True).counts()]
    assert counts == [("thing", 1)]
    assert list(carried(True).counts()) == []


def test_the_json_form_of_a_carried_detection_has_the_track_that_it_keeps_alive() -> None:
    still, zeros = np.zeros((2, 2), np.float32), np.zeros(2, np.float32)
    tracks = Tracks(
        np.array([[0, 0, 1, 1]] * 2, np.float32), zeros, np.zeros(2, np.int64), np.array([7, 9]), zeros, still,
        np.array([-1, 1]), ("x",), carried=np.array([0, -1]),
    )  # fmt: skip
    form: Any = carried(True, False, True).to_json(Results(tracks), JsonOptions())
    assert [(row.get("carried"), row["track"]) for row in form["detections"]] == [(True, 7), (None, 9), (True, None)]


def test_the_reliable_score_of_a_detector_is_a_half_unless_it_says_otherwise_and_stays_with_its_detections() -> None:
    assert detections([[0, 0, 1, 1]], 1).reliable_score == 0.5
    low = replace(detections([[0, 0, 1, 1]], 1), reliable_score=0.4)
    assert low.select(np.array([0])).reliable_score == 0.4
    assert pickle.loads(pickle.dumps(low)).reliable_score == 0.4
    with pytest.raises(ValueError, match=r"Detections\.reliable_score is nan, not in 0 to 1"):
        replace(low, reliable_score=float("nan"))


def test_the_json_form_marks_carried_detections() -> None:
    form: Any = carried(True, False).to_json(Results(), JsonOptions())
    assert [row.get("carried") for row in form["detections"]] == [True, None]


@pytest.mark.parametrize("boxes", [[0, 1], [[0, 0, 1]], [[[0, 0, 1, 1]], [[0, 0, 1, 1]]]])
def test_boxes_without_four_sides_are_refused(boxes: Any) -> None:
    with pytest.raises(ValueError, match=r"expected \[n, 4\]"):
        detections(boxes, len(boxes))


def test_velocities_without_two_directions_are_refused() -> None:
    none, whole = np.zeros(0, np.float32), np.zeros(0, np.int64)
    with pytest.raises(ValueError, match=r"Tracks\.velocities"):
        Tracks(np.zeros((0, 4), np.float32), none, whole, whole, none, np.zeros((0, 3), np.float32), whole, ())


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)],
)
def test_a_picture_that_is_no_bgr_picture_is_refused(image: Any) -> None:
    with pytest.raises(ValueError, match=r"Picture\.image"):
        FrameOverride(image)


def test_a_class_beyond_the_labels_has_a_name_all_the_same() -> None:
    assert label_of(("person",), 0) == "person"
    assert label_of(("person",), 7) == "class 7"
    assert label_of(("person",), -1) == "class -1"
