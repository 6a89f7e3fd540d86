"""Where the model looks: activity, known objects, and in turn the rest, within the budget."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from sightd.plugins.activity.cells import CellGrid, Mask
from sightd.plugins.activity.model import ActiveCells
from sightd.plugins.api import FloatArray
from sightd.plugins.look.known import Known, after_look
from sightd.plugins.look.merging import ViewDetections
from sightd.plugins.look.plan import Pace, Plan, PlanState, RegionPlanner
from sightd.plugins.look.views import ScaledView, View, contains

GRID = CellGrid(1920, 1080)
NOWHERE = np.zeros(GRID.shape, np.bool_)
FPS = 5.0
BOX = (1000.0, 500.0, 1030.0, 560.0)


def active(*boxes: tuple[float, float, float, float]) -> ActiveCells:
    return ActiveCells(GRID.covered(np.array(boxes, np.float32).reshape(-1, 4)), everything=False)


def known(*boxes: tuple[float, float, float, float], at: float, side: float = 60) -> Known:
    """Objects that rest, seen twice, last at `at`."""
    rows = np.array(boxes, np.float32)
    count = len(rows)
    found = ViewDetections(rows, np.full(count, 0.7, np.float32), *(np.zeros(count, np.int64) for _ in range(3)))
    looks = [ScaledView((0, 0, 1920, 1080), side / 60)]

    def still(boxes: FloatArray) -> Mask:
        return np.zeros(len(boxes), np.bool_)

    once, _ = after_look(Known.nothing(), found, looks, at - 0.2, (1920, 1080), still)
    twice, _ = after_look(once, found, looks, at, (1920, 1080), still)
    return twice


@dataclass
class Watch:
    """A camera at five frames a second."""

    pace: Pace = field(default_factory=lambda: Pace(6.0))
    at: float = 100.0

    def __post_init__(self) -> None:
        self.planner = RegionPlanner(GRID, (416, 416), self.pace)
        self.state: PlanState = self.planner.begin(self.at)

    def plan(self, cells: ActiveCells | None = None, objects: Known | None = None) -> Plan:
        nothing = ActiveCells(NOWHERE, everything=False)
        self.state, plan = self.planner.plan(self.state, self.at, cells or nothing, objects or Known.nothing())
        self.at += 1 / FPS
        return plan

    def settle(self) -> None:
        """Until everything was looked at once."""
        for _ in range(400):
            self.plan()
            if np.isfinite(self.state.tile_at).all():
                return
        raise AssertionError("some tile was never looked at")


def views_of(plan: Plan) -> list[View]:
    return [part.view for sheet in plan.sheets for part in sheet.parts]


def shows(plan: Plan, box: tuple[float, float, float, float]) -> bool:
    return any(contains(view, np.array([box], np.float32))[0] for view in views_of(plan))


def test_the_first_frame_is_looked_at_as_a_whole() -> None:
    assert Watch().plan(ActiveCells(~NOWHERE, everything=True)).whole


def test_all_of_the_picture_is_looked_at_in_turn() -> None:
    watch = Watch()
    watch.settle()
    assert watch.at - 100 < 10


def test_the_budget_is_kept_whatever_happens() -> None:
    watch = Watch(Pace(6.0))
    random = np.random.default_rng(5)
    runs = 0
    for _ in range(200):
        corners = random.uniform(0, 900, (12, 2))
        runs += watch.plan(active(*(tuple(c) + tuple(c + 60) for c in corners.tolist() for c in [np.array(c)]))).runs
    assert runs <= 200 / FPS * 6.0 + 3
    assert runs >= 200 / FPS * 6.0 * 0.9


def test_a_budget_below_the_frame_rate_leaves_frames_without_a_look() -> None:
    watch = Watch(Pace(2.0))
    runs = [watch.plan(active((500, 500, 560, 560))).runs for _ in range(50)]
    assert 0 in runs
    assert sum(runs) <= 10 * 2.0 + 2


def test_even_the_smallest_budget_looks_at_parts_and_not_only_at_the_whole_frame() -> None:
    watch = Watch(Pace(0.4))
    plans = [watch.plan(active((500, 500, 560, 560))) for _ in range(round(60 * FPS))]
    assert sum(plan.whole for plan in plans) >= 10
    assert sum(shows(plan, (500, 500, 560, 560)) for plan in plans) >= 10


def test_activity_is_looked_at_on_the_frame_on_which_it_appears() -> None:
    watch = Watch()
    watch.settle()
    for x in range(100, 1700, 150):
        assert shows(watch.plan(active((x, 500, x + 30, 560))), (x, 500, x + 30, 560))


def test_many_small_places_share_one_run() -> None:
    watch = Watch(Pace(6.0, patient=True, whole=1e9))
    watch.settle()
    places = [(x, y, x + 24, y + 36) for x in range(100, 1800, 480) for y in (200, 500, 800)]
    plan = watch.plan(active(*places))
    assert plan.runs == 1
    assert all(shows(plan, place) for place in places)


def test_what_did_not_fit_comes_first_on_the_next_frame() -> None:
    watch = Watch(Pace(FPS, whole=1e9))
    watch.settle()
    places = [(x, 100, x + 250, 350) for x in range(0, 1800, 450)]
    plans = [watch.plan(active(*places)) for _ in range(8)]
    assert not all(shows(plans[0], place) for place in places)
    for place in places:
        assert any(shows(plan, place) for plan in plans)


def test_a_resting_object_is_confirmed_again_and_again_at_its_pace() -> None:
    watch = Watch(Pace(6.0, confirm=2.0, whole=1e9, patient=True))
    watch.settle()
    box = (1000.0, 500.0, 1030.0, 560.0)
    objects = known(box, at=watch.at)
    looked = []
    for _ in range(50):
        plan = watch.plan(objects=objects)
        if shows(plan, box) and len(views_of(plan)):
            looked.append(watch.at)
            objects = known(box, at=watch.at)
    assert len(looked) >= 4


def test_an_object_seen_only_once_is_looked_at_on_the_next_frame() -> None:
    watch = Watch()
    watch.settle()
    box = (1000.0, 500.0, 1030.0, 560.0)
    found = ViewDetections(np.array([box], np.float32), np.array([0.4], np.float32), *[np.array([0])] * 3)
    views = [ScaledView((0, 0, 1920, 1080))]
    objects, _ = after_look(Known.nothing(), found, views, watch.at, (1920, 1080), lambda boxes: np.zeros(1, np.bool_))
    watch.at += 0.2
    assert shows(watch.plan(objects=objects), box)


def test_in_a_still_picture_doubtful_objects_wait_for_the_confirmation_of_all() -> None:
    watch = Watch(Pace(6.0, whole=10.0, confirm=5.0, sweep=30.0, patient=True))
    watch.settle()
    found = ViewDetections(np.array([BOX], np.float32), np.array([0.3], np.float32), *[np.array([0])] * 3)
    views = [ScaledView((0, 0, 1920, 1080))]
    objects, _ = after_look(Known.nothing(), found, views, watch.at, (1920, 1080), lambda boxes: np.zeros(1, np.bool_))
    shown = [shows(watch.plan(objects=objects), BOX) for _ in range(round(7 * FPS))]
    assert 1 <= sum(shown) <= 2


def test_a_large_object_is_shown_reduced() -> None:
    watch = Watch(Pace(6.0, confirm=0.1, whole=1e9))
    watch.settle()
    objects = known((600.0, 200.0, 900.0, 1000.0), at=watch.at - 5)
    (part,) = [part for sheet in watch.plan(objects=objects).sheets for part in sheet.parts if part.scale < 0.99]
    assert max(part.size) <= 0.25 * 1600


def test_a_still_picture_costs_one_sheet_and_one_whole_frame_per_confirmation() -> None:
    watch = Watch(Pace(6.0, whole=5.0, confirm=5.0, patient=True))
    watch.settle()
    runs = sum(watch.plan().runs for _ in range(round(60 * FPS)))
    assert runs <= 60 / 5.0 * 2 + 2


def test_a_new_picture_is_looked_at_again_everywhere() -> None:
    watch = Watch(Pace(6.0, whole=5.0, confirm=5.0, patient=True))
    watch.settle()
    changed_at = watch.at
    assert watch.plan(ActiveCells(~NOWHERE, everything=True)).whole
    watch.settle()
    assert (watch.state.tile_at >= changed_at).all()
    assert watch.at - changed_at < 10


@pytest.mark.parametrize("count", [1, 40, 300])
def test_however_many_places_are_active_the_plan_stays_small(count: int) -> None:
    watch = Watch()
    random = np.random.default_rng(count)
    boxes = [(x, y, x + 14, y + 14) for x, y in random.uniform((0, 0), (1900, 1060), (count, 2)).tolist()]
    plan = watch.plan(active(*boxes))
    assert len(views_of(plan)) <= 80
