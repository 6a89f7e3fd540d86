"""Results of a frame are checked against the detections that later plug-ins see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sightd.plugins.api import Detections, Frame, Results, Tracks
from sightd.plugins.testing.subject import BrokenRuleError, verify

FRAME = Frame.of(np.zeros((48, 64, 3), np.uint8))


def detections(count: int) -> Detections:
    boxes = np.tile(np.array([[1, 1, 9, 9]], np.float32), (count, 1))
    return Detections(boxes, np.ones(count, np.float32), np.zeros(count, np.int64), ("person",))


def track_of(row: int) -> Tracks:
    one, zero = np.ones(1, np.float32), np.zeros(1, np.int64)
    box, still = np.array([[1, 1, 9, 9]], np.float32), np.zeros((1, 2), np.float32)
    return Tracks(box, one, zero, zero, one, still, np.array([row], np.int64), ("person",))


@pytest.mark.parametrize("own", [0, 1])
def test_a_track_must_not_point_outside_the_plug_ins_own_detections(own: int) -> None:
    found = Results(detections(own), track_of(1))
    with pytest.raises(BrokenRuleError, match=f"exceeds the {own} rows"):
        verify(found, Results(detections(2)), FRAME, frozenset({Detections, Tracks}))


def test_without_its_own_detections_the_given_ones_count() -> None:
    verify(Results(track_of(1)), Results(detections(2)), FRAME, frozenset({Tracks}))
    with pytest.raises(BrokenRuleError, match="exceeds the 0 rows"):
        verify(Results(track_of(0)), Results(detections(0)), FRAME, frozenset({Tracks}))


@pytest.mark.parametrize(
    ("carried", "row", "is_right"), [([True, False], 0, True), ([True, False], 1, False), ([], 0, False)]
)
def test_only_a_carried_detection_can_stand_for_a_track(carried: list[bool], row: int, *, is_right: bool) -> None:
    objects = replace(detections(len(carried)), carried=np.array(carried, np.bool_))
    found = Results(objects, replace(track_of(-1), carried=np.array([row], np.int64)))
    if is_right:
        verify(found, Results(), FRAME, frozenset({Detections, Tracks}))
        return
    with pytest.raises(BrokenRuleError, match="names a row that is not carried"):
        verify(found, Results(), FRAME, frozenset({Detections, Tracks}))
