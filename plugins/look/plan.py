"""Plans where a model looks on the next frame of a camera: activity, known objects, and in turn the rest of the
picture, within a budget of model runs per second.

Pure: the state is immutable and replaced whole, and time is passed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sightd.plugins.activity.cells import CellGrid
from sightd.plugins.activity.model import ActiveCells
from sightd.plugins.api import FloatArray
from sightd.plugins.look.known import Known
from sightd.plugins.look.sheets import Sheet, packed
from sightd.plugins.look.views import Mask, ScaledView, View, around, contains, tiles, united

_LARGE = 48.0
"""An object of so many pixels in the model's input when the whole frame is looked at is confirmed by that, if the pace
is patient."""
_SHOWN = 160.0
"""An object is shown to the model with at most so many pixels on its longer side: more does not help to find it."""
_MOST_GROUPS = 48
"""If there are more groups of active cells, they are united more widely, as often as needed."""
_TILES_PER_SHEET = 4
_BURST = 0.5
"""Unused runs are saved for this long (s), but at least two of them."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often what is looked at, in s; `runs_per_second` is the budget of the camera.

    `whole`: the whole frame at once, which shows large objects, but for at most half of the budget · `confirm`: a known
    object that rests · `sweep`: shortest time between two looks at the same part of the rest of the picture. `patient`:
    in a picture in which nothing changes, all objects are confirmed together, with one sheet for the rest, and nothing
    is looked at in between; otherwise what is left of the budget is spent on doubtful objects and on the rest.
    """

    runs_per_second: float
    whole: float = 2.0
    confirm: float = 2.0
    sweep: float = 0.5
    patient: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class PlanState:
    """What was looked at: `budget` in runs at the time `at` (s), the times of the last look at the whole frame and of
    the last sheet for the rest; for each tile, float64 [n], the last time it was shown completely, and the last time
    that a view was centred in it. -inf for never."""

    at: float
    budget: float
    whole_at: float
    swept_at: float
    tile_at: NDArray[np.float64]
    centred_at: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Plan:
    """Where to look on one frame: at the whole of it, and on sheets."""

    whole: bool
    sheets: tuple[Sheet, ...]

    @property
    def runs(self) -> int:
        return self.whole + len(self.sheets)


class RegionPlanner:
    """Plans looks for frames of one size and a model input of `input_size` (width, height) px. Stateless."""

    def __init__(self, grid: CellGrid, input_size: tuple[int, int], pace: Pace) -> None:
        self._grid, self._pace = grid, pace
        self._width, self._height = grid.width, grid.height
        self.input_size = input_size
        self._whole_every = max(pace.whole, 2 / pace.runs_per_second)
        self._whole_scale = min(input_size[0] / grid.width, input_size[1] / grid.height)
        side = (max(input_size[0] // 2 - 4, 32), max(input_size[1] // 2 - 4, 32))
        self.tiles = tiles(grid.width, grid.height, side, overlap=0.3)
        """The parts of the picture that are looked at in turn: four fit on a sheet."""
        self._tiles = np.array(self.tiles, np.float32)
        self._centres = (self._tiles[:, :2] + self._tiles[:, 2:]) / 2

    def begin(self, at: float) -> PlanState:
        never = np.full(len(self.tiles), -np.inf)
        never.flags.writeable = False
        return PlanState(at, self._most_saved, -np.inf, -np.inf, never, never)

    @property
    def _most_saved(self) -> float:
        return max(self._pace.runs_per_second * _BURST, 2.0)

    def plan(self, before: PlanState, at: float, active: ActiveCells, known: Known) -> tuple[PlanState, Plan]:
        """Returns the state after a frame at `at` (s), and where to look on it. The plan is to be carried out."""
        elapsed = max(at - before.at, 0.0)
        state = replace(
            before, at=at, budget=min(before.budget + elapsed * self._pace.runs_per_second, self._most_saved)
        )
        if active.everything:
            state = replace(state, whole_at=-np.inf, tile_at=np.full(len(self.tiles), -np.inf))
        is_quiet = active.everything or not active.cells.any()
        groups = [] if is_quiet else self._groups(active.cells, state)
        whole = state.budget >= 1 and at - state.whole_at >= self._whole_every
        is_time = at - state.swept_at >= self._pace.confirm
        if self._is_idle(state, groups, whole=whole, is_time=is_time):
            return state, Plan(False, ())
        due = self._due(known, at, is_time=is_time, active=bool(groups))
        wanted = self._wanted(groups, due, known, at, whole=whole)
        affordable = self._affordable(state, active, whole=whole)
        packer, _ = packed(wanted, *self.input_size, affordable)
        packer.most += self._own_sheets(state, packer.most, affordable, is_time=is_time, everything=active.everything)
        for view in self._rest(state, at):
            packer.add(view)
        sheets = tuple(packer.sheets())
        shown = [part.view for sheet in sheets for part in sheet.parts]
        plan = Plan(whole, sheets)
        return self._after(state, plan, shown, at, swept=is_time and bool(sheets)), plan

    def _after(self, state: PlanState, plan: Plan, shown: Sequence[View], at: float, *, swept: bool) -> PlanState:
        tile_at, centred_at = state.tile_at.copy(), state.centred_at.copy()
        for view in shown:
            tile_at[contains(view, self._tiles)] = at
        centred_at[self._holding(shown)] = at
        return replace(
            state,
            budget=state.budget - plan.runs,
            whole_at=at if plan.whole else state.whole_at,
            swept_at=at if swept else state.swept_at,
            tile_at=tile_at,
            centred_at=centred_at,
        )

    def _holding(self, views: Sequence[View]) -> NDArray[np.intp]:
        """Returns for each view the tile whose centre is nearest to its own."""
        boxes = np.array(views, np.float32).reshape(-1, 4)
        apart = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2 - self._centres
        return np.asarray(np.square(apart).sum(axis=2).argmin(axis=1), np.intp)

    def _rest(self, state: PlanState, at: float) -> list[ScaledView]:
        """Returns the tiles that are due, those first that were not looked at for longest."""
        ages = at - state.tile_at
        order = np.argsort(-ages, kind="stable")
        order = order[ages[order] >= self._pace.sweep][: _TILES_PER_SHEET * (int(self._most_saved) + 1)]
        return [ScaledView(self.tiles[index]) for index in order.tolist()]

    def _is_idle(self, state: PlanState, groups: Sequence[View], *, whole: bool, is_time: bool) -> bool:
        """Whether there is nothing to do, as on most frames of a still picture with a patient pace."""
        waits = self._pace.patient and not groups and not whole and not is_time
        return waits and not bool(np.isneginf(state.tile_at).any())

    def _affordable(self, state: PlanState, active: ActiveCells, *, whole: bool) -> int:
        """Returns how many sheets the budget allows: one in a still picture with a patient pace, so that many objects
        are confirmed in turn."""
        left = int(state.budget) - whole
        is_known = not active.everything and not bool(np.isneginf(state.tile_at).any())
        return min(left, 1) if self._pace.patient and is_known and not active.cells.any() else left

    def _own_sheets(self, state: PlanState, used: int, affordable: int, *, is_time: bool, everything: bool) -> int:
        """Returns how many sheets are for the rest of the picture: all that are left while some of it was never looked
        at, or if the pace is not patient; else one if it is time, unless others are used anyway."""
        left = max(affordable - used, 0)
        if everything or not self._pace.patient or bool(np.isneginf(state.tile_at).any()):
            return left
        return min(left, int(is_time and not used))

    def _due(self, known: Known, at: float, *, is_time: bool, active: bool) -> Mask:
        """Returns which objects are to be looked at, unless a group of active cells shows them."""
        waited = at - known.looked_at
        if not self._pace.patient:
            return known.moving | known.doubtful | (waited >= self._pace.confirm)
        sides = (known.boxes[:, 2:] - known.boxes[:, :2]).max(axis=1, initial=0)
        due = (waited >= self._pace.confirm / 2) & (sides * self._whole_scale < _LARGE) & is_time
        if active:  # nothing moves in a still picture, whatever the boxes do
            due = due | known.moving
        return np.asarray(due, np.bool_)

    def _groups(self, cells: Mask, state: PlanState) -> list[View]:
        """Returns views of groups of active cells with their margins, those first that were not looked at for longest;
        groups that overlap much are one view."""
        reach = 1
        boxes = self._grid.groups(cells, reach)
        while len(boxes) > _MOST_GROUPS:
            reach *= 2
            boxes = self._grid.groups(cells, reach)
        margins = [around(box, self._width, self._height) for box in boxes.tolist()]
        views = united(margins, self.input_size)
        order = np.argsort(state.centred_at[self._holding(views)], kind="stable")
        return [views[index] for index in order.tolist()]

    def _wanted(self, groups: Sequence[View], due: Mask, known: Known, at: float, *, whole: bool) -> list[ScaledView]:
        """Returns the views of activity and of known objects that are due, most important first."""
        predicted = known.predicted(at)
        longer = (predicted[:, 2:] - predicted[:, :2]).max(axis=1, initial=0)
        views = [self._scaled(group, longer[contains(group, predicted)]) for group in groups]
        for group in groups:
            due &= ~contains(group, predicted)
        if whole:
            due &= longer * self._whole_scale < np.minimum(known.sides, _SHOWN) * 0.75
        urgent = np.flatnonzero(due)[np.argsort(known.looked_at[due], kind="stable")]
        singles = [
            self._scaled(around(predicted[row], self._width, self._height), longer[row : row + 1])
            for row in urgent.tolist()
        ]
        return self._ordered(views, singles)

    def _ordered(self, groups: list[ScaledView], singles: list[ScaledView]) -> list[ScaledView]:
        """Activity and known objects in turn, so that neither starves the other."""
        mixed: list[ScaledView] = []
        for index in range(max(len(groups), len(singles))):
            mixed += groups[index : index + 1] + singles[index : index + 1]
        return mixed

    def _scaled(self, view: View, sides: FloatArray) -> ScaledView:
        """Returns a view that holds objects with these longer sides (none: unknown) at full resolution, or smaller if
        even the smallest object remains large enough."""
        return ScaledView(view, _SHOWN / max(float(sides.min()), _SHOWN) if len(sides) else 1.0)
