"""Objects found in overlapping views, combined."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from sightd.plugins.look.merging import Suppression, ViewDetections, merged
from sightd.plugins.look.views import View, tiles

FRAME = (1000, 600)
LEFT, RIGHT = (0, 0, 550, 600), (450, 0, 1000, 600)
WHOLE = (0, 0, 1000, 600)
BY_CLASS = Suppression(0.5, agnostic=False)
Row = tuple[tuple[float, float, float, float], float, int, int]
"""Box, score, class, view."""


def found(*rows: Row) -> ViewDetections:
    boxes, scores, classes, views = zip(*rows, strict=True)
    arrays = np.array(classes), np.array(views), np.arange(len(views))
    return ViewDetections(np.array(boxes, np.float32), np.array(scores, np.float32), *arrays)


def boxes_of(rows: Sequence[Row], views: Sequence[View], *, agnostic: bool = False) -> list[list[float]]:
    boxes: list[list[float]] = merged(found(*rows), views, FRAME, Suppression(0.5, agnostic)).boxes.tolist()
    return boxes


def test_an_object_that_two_views_show_completely_is_one_with_the_better_score() -> None:
    rows: list[Row] = [((460, 100, 540, 200), 0.6, 0, 0), ((461, 101, 541, 201), 0.8, 0, 1)]
    result = merged(found(*rows), [LEFT, RIGHT], FRAME, BY_CLASS)
    assert result.boxes.tolist() == [[461, 101, 541, 201]]
    assert result.scores == pytest.approx([0.8])


def test_a_box_that_a_view_cuts_off_loses_to_the_whole_one_even_with_a_better_score() -> None:
    rows: list[Row] = [((430, 100, 549, 300), 0.9, 0, 0), ((430, 100, 700, 300), 0.3, 0, 2)]
    assert boxes_of(rows, [LEFT, RIGHT, WHOLE]) == [[430, 100, 700, 300]]


def test_parts_of_an_object_that_no_view_shows_completely_are_united() -> None:
    rows: list[Row] = [((300, 100, 550, 400), 0.7, 0, 0), ((450, 102, 800, 398), 0.6, 0, 1)]
    result = merged(found(*rows), [LEFT, RIGHT], FRAME, BY_CLASS)
    assert result.boxes.tolist() == [[300, 100, 800, 400]]
    assert result.scores == pytest.approx([0.7])


def test_an_object_across_three_tiles_is_one() -> None:
    views = tiles(1000, 200, (400, 200), 0.25)
    assert len(views) == 3
    rows: list[Row] = [
        ((200, 50, 400, 150), 0.5, 0, 0), ((300, 50, 700, 150), 0.9, 0, 1), ((600, 50, 850, 150), 0.6, 0, 2)
    ]  # fmt: skip
    result = merged(found(*rows), views, (1000, 200), BY_CLASS)
    assert result.boxes.tolist() == [[200, 50, 850, 150]]


def test_two_people_cut_by_the_same_edge_stay_two() -> None:
    rows: list[Row] = [
        ((400, 100, 550, 300), 0.7, 0, 0), ((450, 101, 600, 300), 0.7, 0, 1),
        ((400, 350, 550, 550), 0.7, 0, 0), ((450, 351, 600, 551), 0.7, 0, 1),
    ]  # fmt: skip
    assert sorted(boxes_of(rows, [LEFT, RIGHT])) == [[400, 100, 600, 300], [400, 350, 600, 551]]


def test_a_small_object_before_a_large_one_stays() -> None:
    rows: list[Row] = [((500, 200, 530, 260), 0.7, 0, 0), ((300, 100, 800, 500), 0.8, 0, 1)]
    assert len(boxes_of(rows, [LEFT, WHOLE])) == 2


def test_a_cut_box_of_another_class_is_not_part_of_a_whole_one() -> None:
    rows: list[Row] = [((430, 100, 550, 300), 0.9, 1, 0), ((430, 100, 700, 300), 0.3, 0, 1)]
    assert len(boxes_of(rows, [LEFT, WHOLE])) == 2
    assert len(boxes_of(rows, [LEFT, WHOLE], agnostic=True)) == 1


def test_a_cut_box_that_nothing_else_shows_stays() -> None:
    rows: list[Row] = [((430, 100, 550, 300), 0.9, 0, 0)]
    assert boxes_of(rows, [LEFT]) == [[430, 100, 550, 300]]


CROWD: list[Row] = [((100, 100, 200, 300), 0.8, 0, 0), ((110, 100, 210, 300), 0.7, 0, 0)]
"""Two boxes of one view that overlap by 82 %."""


def test_what_was_found_in_a_single_view_is_unchanged() -> None:
    assert boxes_of(CROWD, [WHOLE]) == [list(row[0]) for row in CROWD]


def test_boxes_of_a_model_that_needs_no_suppression_compete_only_across_views() -> None:
    again: Row = ((102, 100, 202, 300), 0.9, 0, 1)
    rows = found(*CROWD[1:], ((150, 100, 250, 300), 0.6, 0, 0), again)
    assert len(merged(found(*CROWD), [LEFT, WHOLE], FRAME, BY_CLASS)) == 1
    queries = Suppression(0.5, agnostic=False, within_views=False)
    assert len(merged(found(*CROWD), [LEFT, WHOLE], FRAME, queries)) == 2
    assert sorted(merged(rows, [LEFT, WHOLE], FRAME, queries).boxes[:, 0].tolist()) == [102, 150]


def test_of_very_many_cut_boxes_the_two_hundred_best_are_kept() -> None:
    corners = [(x, y) for x in range(0, 500, 20) for y in range(0, 600, 15)]
    scores = np.random.default_rng(1).permutation(len(corners)) / len(corners)
    cut = [
        ((480.0, y * 0.9, 550.0, y * 0.9 + 0.5), float(score), number, 0)
        for number, ((_, y), score) in enumerate(zip(corners, scores, strict=True))
    ]
    kept = merged(found(*cut), [LEFT, RIGHT], FRAME, BY_CLASS)
    assert len(kept) == 200
    assert kept.scores.min() >= np.sort(scores)[-200] - 1e-6


def test_nothing_found_is_nothing() -> None:
    assert len(merged(ViewDetections.none(), [LEFT, RIGHT], FRAME, BY_CLASS)) == 0


def test_random_objects_seen_through_tiles_come_out_once_each() -> None:
    """Whatever is in the frame, tiles show it clipped to themselves, with scores of their own."""
    random = np.random.default_rng(4)
    views = [*tiles(1920, 1080, (416, 416), 0.2), (0, 0, 1920, 1080)]
    for _ in range(20):
        corners = random.uniform((0, 0), (1500, 800), (12, 2))
        true = np.concatenate((corners, corners + random.uniform(20, 400, (12, 2))), axis=1)
        true = true[_apart(true)]
        rows: list[Row] = []
        for index, view in enumerate(views):
            for box in true:
                part = np.concatenate((np.maximum(box[:2], view[:2]), np.minimum(box[2:], view[2:])))
                if (part[2:] - part[:2] > 8).all():
                    rows.append((tuple(part.tolist()), float(random.uniform(0.3, 0.9)), 0, index))
        shown = merged(found(*rows), views, (1920, 1080), BY_CLASS)
        assert len(shown) == len(true)


def _apart(boxes: np.ndarray) -> np.ndarray:
    """Indices of boxes that do not touch any earlier one."""
    kept: list[int] = []
    for index, box in enumerate(boxes):
        if all(
            box[0] > boxes[other][2] or box[2] < boxes[other][0] or box[1] > boxes[other][3] or box[3] < boxes[other][1]
            for other in kept
        ):
            kept.append(index)
    return np.array(kept)
