"""What becomes of known objects when their place is, or is not, looked at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from sightd.plugins.api import FloatArray
from sightd.plugins.look.known import Known, after_look
from sightd.plugins.look.merging import ViewDetections
from sightd.plugins.look.views import Mask, ScaledView

SIZE = (1920, 1080)
HERE = ScaledView((400, 400, 800, 800))
ELSEWHERE = ScaledView((1200, 400, 1600, 800))
FRAME = ScaledView((0, 0, 1920, 1080), 0.2)
BOX = (500.0, 500.0, 520.0, 560.0)
Box = tuple[float, float, float, float]


def found(*boxes: Box, score: float = 0.6, view: int = 0) -> ViewDetections:
    count = len(boxes)
    rows = np.array(boxes, np.float32).reshape(-1, 4)
    return ViewDetections(
        rows, np.full(count, score, np.float32), np.zeros(count, np.int64), np.full(count, view), np.arange(count)
    )


def unchanged(boxes: FloatArray) -> Mask:
    return np.zeros(len(boxes), np.bool_)


def changed(boxes: FloatArray) -> Mask:
    return np.ones(len(boxes), np.bool_)


class Watch:
    """A camera whose frames come five a second; says which boxes are reported."""

    def __init__(self) -> None:
        self.known, self.at = Known.nothing(), 10.0

    def see(
        self, what: ViewDetections, *looks: ScaledView, quiet: bool = True, after: float = 0.2
    ) -> list[list[float]]:
        self.at += after
        self.known, shown = after_look(self.known, what, looks, self.at, SIZE, unchanged if quiet else changed)
        boxes: list[list[float]] = shown.boxes.tolist()
        return boxes


@pytest.fixture
def resting() -> Watch:
    """A camera that has seen an object twice at the same place."""
    watch = Watch()
    watch.see(found(BOX), HERE)
    watch.see(found(BOX), HERE)
    return watch


NOTHING = found()


def test_an_object_whose_place_was_not_looked_at_is_carried(resting: Watch) -> None:
    for _ in range(100):
        assert resting.see(NOTHING, ELSEWHERE) == [list(BOX)]


def test_an_object_is_carried_on_frames_without_any_look(resting: Watch) -> None:
    assert resting.see(NOTHING) == [list(BOX)]


def test_an_object_that_is_not_where_something_has_changed_is_gone_from_that_frame(resting: Watch) -> None:
    assert resting.see(NOTHING, HERE, quiet=False) == []


def test_an_object_that_was_missed_although_nothing_has_changed_is_gone_after_three_looks(resting: Watch) -> None:
    assert [len(resting.see(NOTHING, HERE)) for _ in range(4)] == [1, 1, 0, 0]
    assert len(resting.known) == 0


def test_an_object_that_was_missed_is_to_be_looked_at_again(resting: Watch) -> None:
    assert not resting.known.doubtful.any()
    resting.see(NOTHING, HERE)
    assert resting.known.doubtful.all()
    resting.see(found(BOX), HERE)
    assert not resting.known.doubtful.any()


def test_a_look_that_shows_an_object_too_small_says_nothing_about_it(resting: Watch) -> None:
    for _ in range(10):
        assert resting.see(NOTHING, FRAME, quiet=False) == [list(BOX)]


def test_a_look_that_cuts_an_object_says_nothing_about_it(resting: Watch) -> None:
    half = ScaledView((510, 400, 900, 800))
    assert resting.see(NOTHING, half, quiet=False) == [list(BOX)]


def test_an_object_seen_once_with_a_low_score_is_carried_only_once_it_was_found_again() -> None:
    watch = Watch()
    assert len(watch.see(found(BOX, score=0.3), HERE)) == 1
    assert watch.known.doubtful.all()
    assert watch.see(NOTHING, ELSEWHERE) == []
    assert len(watch.see(found(BOX, score=0.3), HERE)) == 1
    assert watch.see(NOTHING, ELSEWHERE) == [list(BOX)]


def test_an_object_seen_once_and_not_again_is_forgotten_at_once() -> None:
    watch = Watch()
    watch.see(found(BOX), HERE)
    assert watch.see(NOTHING, HERE) == []
    assert len(watch.known) == 0


def moved(by: float) -> Box:
    return (BOX[0] + by, BOX[1], BOX[2] + by, BOX[3])


def test_a_moving_object_is_carried_along_for_a_second() -> None:
    watch = Watch()
    for step in range(5):
        watch.see(found(moved(8.0 * step)), HERE)
    assert watch.known.moving.all()
    assert watch.see(NOTHING, ELSEWHERE)[0] == pytest.approx(moved(40), abs=0.5)
    for _ in range(4):
        last = watch.see(NOTHING, ELSEWHERE)[0]
    assert last == pytest.approx(moved(72), abs=1)
    assert watch.see(NOTHING, ELSEWHERE)[0] == pytest.approx(last)


def test_a_box_that_trembles_does_not_move() -> None:
    watch = Watch()
    random = np.random.default_rng(3)
    for _ in range(40):
        watch.see(found(moved(float(random.normal(0, 0.6)))), HERE)
        assert not watch.known.moving.any()


def test_an_object_found_again_after_a_while_is_the_same_and_not_a_second_one() -> None:
    watch = Watch()
    for _ in range(3):
        watch.see(found(BOX), HERE)
    for _ in range(4):
        watch.see(NOTHING, ELSEWHERE)
    assert len(watch.see(found(moved(25)), HERE)) == 1


def test_two_objects_side_by_side_are_matched_each_with_its_own() -> None:
    watch = Watch()
    for _ in range(2):
        watch.see(found(BOX, moved(30)), HERE)
    assert sorted(watch.see(found(moved(4), moved(34)), HERE)) == [
        pytest.approx(moved(4)), pytest.approx(moved(34))
    ]  # fmt: skip
    assert len(watch.known) == 2


def test_an_object_that_has_left_the_frame_is_forgotten() -> None:
    watch = Watch()
    edge = ScaledView((1500, 400, 1920, 800))
    for step in range(6):
        watch.see(found((1850 + 10 * step, 500, 1870 + 10 * step, 560)), edge)
    for _ in range(4):
        last = watch.see(NOTHING, ELSEWHERE)
    assert last == []
    assert len(watch.known) == 0


def looks_of(sizes: Sequence[int]) -> list[ScaledView]:
    return [ScaledView((0, 0, size, size)) for size in sizes]


def test_no_more_than_five_hundred_objects_are_kept() -> None:
    watch = Watch()
    grid: list[Box] = [(x, y, x + 10.0, y + 10.0) for x in range(0, 1900, 40) for y in range(0, 1060, 40)]
    assert len(grid) > 1000
    watch.see(found(*grid), *looks_of([1920]))
    assert len(watch.known) == 500
