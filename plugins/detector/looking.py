"""A detector that chooses where to look in each frame: `look:` tiles and regions, and `gate:` activity.

It runs an `ObjectDetector` on the whole frame, or on sheets (`plugins/look/sheets.py`): images of the model's input
size with parts of the frame. Sheets of a frame that was decoded on the model's GPU are drawn there, others on the host.
The images of all cameras are found in together, `_BATCH` at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Protocol

import numpy as np

from sightd.plugins.activity import model as activity
from sightd.plugins.activity.cells import CellGrid, Mask
from sightd.plugins.activity.config import GateOptions
from sightd.plugins.activity.model import ActiveCells, ActivityState
from sightd.plugins.activity.result import Activity
from sightd.plugins.activity.scene import is_other_scene
from sightd.plugins.api import Detections, FloatArray, Frame
from sightd.plugins.detector.shape_views import ShapeSource, with_shapes
from sightd.plugins.detector.shaped import Shaped
from sightd.plugins.look.config import LookOptions
from sightd.plugins.look.known import Known, after_look
from sightd.plugins.look.merging import Suppression, ViewDetections, duplicates, merged
from sightd.plugins.look.plan import Pace, PlanState, RegionPlanner
from sightd.plugins.look.sheets import GREY, FrameSheet, ImageSource, Sheet, in_frame, to_frame
from sightd.plugins.look.views import ScaledView, View, grid, largest_grid, tiles, whole

_PASSING = 0.25
"""Share of a known object's cells that must have changed for its place to count as changed."""
_BATCH = 8
"""Most images per call of the finder: engines with a dynamic batch run all of them at once, in memory for all."""
_MOST_TILES = 64
"""Most tiles of a frame; larger frames are shown reduced, unless `look.tiles` sets another number."""
_SWEEPS = 6
"""With the gate, the rest of the picture is looked at again after so many confirmations, at the earliest."""


Select = Callable[[Shaped, int, int], Shaped]
"""Selects from the objects of a frame of a width and height."""


class Finder(Protocol):
    """Finds objects in images: an `ObjectDetector` whose selection does not depend on where in a frame they are."""

    def shaped(self, images: Sequence[ImageSource]) -> list[Shaped]: ...


@dataclass(frozen=True, slots=True)
class _Camera:
    """What is known about a camera after the frame at `at`. Replaced whole.

    `shown` are all objects on that frame, `reported` those that the configuration selects. `rests`: they stay the same
    until something is looked at. `session` stays the same until the camera is forgotten or its frames have another
    size. `thumb` is that frame's `Frame.thumb`.
    """

    at: float
    thumb: FloatArray | None
    grid: CellGrid
    watched: Mask
    planner: RegionPlanner
    activity: ActivityState | None
    plan: PlanState
    known: Known
    shown: Shaped
    reported: Shaped
    rests: bool = False
    session: object = field(default_factory=object)


@dataclass(frozen=True, slots=True)
class _Task:
    """One frame, with where to look on it, and its camera as it is then; `elapsed` s have passed since the frame
    before."""

    frame: Frame
    camera: _Camera
    active: ActiveCells
    elapsed: float
    whole: bool
    sheets: tuple[Sheet, ...]

    @property
    def views(self) -> list[ScaledView]:
        """All views, those of the sheets in order, and the whole frame last."""
        views: list[ScaledView] = [part for sheet in self.sheets for part in sheet.parts]
        return [*views, self.whole_view] if self.whole else views

    @property
    def whole_view(self) -> ScaledView:
        frame, sides = self.frame, self.camera.planner.input_size
        return ScaledView(whole(frame.width, frame.height), min(sides[0] / frame.width, sides[1] / frame.height))


class LookingDetector:
    """Chooses views of each camera's frames, and remembers what was found in those it does not look at.

    Threads: `find` may run on several threads at once for different cameras; states are immutable and replaced whole.
    """

    def __init__(
        self,
        finder: Finder,
        labels: tuple[str, ...],
        input_size: tuple[int, int],
        suppression: Suppression,
        look: LookOptions,
        gate: GateOptions,
        select: Select,
        pad: int = GREY,
    ) -> None:
        """`input_size` is (width, height) of the model's input in px, `pad` the level of its padding; `select` filters
        by where in the frame objects are."""
        self._finder, self._labels, self._input = finder, labels, input_size
        self._suppression, self._select = suppression, select
        self._look, self._gate, self._pad = look, gate, pad
        self._gated = gate.mode == "activity"
        self._cameras: dict[str, _Camera] = {}
        self._lock = threading.Lock()

    def find(self, frames: Sequence[Frame]) -> list[tuple[Shaped, Activity]]:
        """Returns the objects of each frame. Raises what the finder raises."""
        tasks = [self._task(frame) for frame in frames]
        found = iter(self._found_in(image for task in tasks for image in self._images(task)))
        return [self._finished(task, [next(found) for _ in range(len(task.sheets) + task.whole)]) for task in tasks]

    def _found_in(self, images: Iterable[ImageSource]) -> list[Shaped]:
        """Runs the finder on `_BATCH` images at a time."""
        left, found = iter(images), list[Shaped]()
        while chunk := list(islice(left, _BATCH)):
            found += self._finder.shaped(chunk)
        return found

    def _images(self, task: _Task) -> Iterator[ImageSource]:
        for sheet in task.sheets:
            yield FrameSheet(task.frame, sheet, self._pad)
        if task.whole:
            yield task.frame

    def forget(self, camera: str) -> None:
        with self._lock:
            self._cameras.pop(camera, None)

    def _task(self, frame: Frame) -> _Task:
        if frame.still:
            return self._whole_task(frame)
        before = self._before(frame)
        elapsed = max(frame.captured_at - before.at, 0.0)
        state, active = self._activity(before, frame)
        camera = replace(before, at=frame.captured_at, thumb=frame.thumb(), activity=state)
        if self._look.mode == "regions":
            plan_state, plan = camera.planner.plan(camera.plan, frame.captured_at, active, camera.known)
            return _Task(frame, replace(camera, plan=plan_state), active, elapsed, plan.whole, plan.sheets)
        due = not self._gated or active.everything or self._is_due(camera)
        if not due and not active.cells.any():
            return _Task(frame, camera, active, elapsed, whole=False, sheets=())
        camera = replace(camera, plan=replace(camera.plan, whole_at=frame.captured_at) if due else camera.plan)
        sheets = self._tile_sheets(camera.grid, None if due else active.cells)
        return _Task(frame, camera, active, elapsed, whole=True, sheets=sheets)

    def _whole_task(self, frame: Frame) -> _Task:
        """Returns the task for a photograph: all of it is looked at, in tiles for regions too."""
        camera = self._new(frame)
        everything = ActiveCells(np.ones(camera.grid.shape, np.bool_), everything=True)
        return _Task(frame, camera, everything, 0.0, whole=True, sheets=self._tile_sheets(camera.grid, None))

    def _is_due(self, camera: _Camera) -> bool:
        """Whether the whole frame is to be looked at although nothing has changed."""
        return camera.at - camera.plan.whole_at >= self._gate.confirm_every

    def _activity(self, before: _Camera, frame: Frame) -> tuple[ActivityState | None, ActiveCells]:
        if not self._gated and self._look.mode != "regions":
            return None, ActiveCells(np.zeros((1, 1), np.bool_), everything=True)
        cells = before.grid.of(frame)
        if before.activity is None:
            return activity.begin(cells, frame.captured_at, before.watched)
        return activity.step(before.activity, cells, frame.captured_at, before.watched)

    def _before(self, frame: Frame) -> _Camera:
        """Returns what is known about the frame's camera: no objects and no activity if it shows another scene."""
        thumb = frame.thumb()
        with self._lock:
            camera = self._cameras.get(frame.camera)
            if camera is None or (camera.grid.width, camera.grid.height) != (frame.width, frame.height):
                camera = self._cameras[frame.camera] = self._new(frame)
        if is_other_scene(camera.thumb, thumb):  # the budget stays
            nothing = Shaped(Detections.none(self._labels))
            return replace(camera, activity=None, known=Known.nothing(), shown=nothing, reported=nothing, rests=False)
        return camera

    def _new(self, frame: Frame) -> _Camera:
        grid = CellGrid(frame.width, frame.height)
        watched = grid.outside(self._gate.ignore)
        pace = Pace(self._look.runs_per_second)
        if self._gated:
            every = self._gate.confirm_every
            pace = replace(pace, whole=2 * every, confirm=every, sweep=_SWEEPS * every, patient=True)
        planner = RegionPlanner(grid, self._input, pace)
        plan, nothing = planner.begin(frame.captured_at), Shaped(Detections.none(self._labels))
        thumb = frame.thumb()
        return _Camera(frame.captured_at, thumb, grid, watched, planner, None, plan, Known.nothing(), nothing, nothing)

    def _tile_sheets(self, grid: CellGrid, cells: Mask | None) -> tuple[Sheet, ...]:
        """Returns a sheet for each tile, or only for those with active `cells`; none if only the frame is looked at."""
        if self._look.mode == "frame":
            return ()
        views = self._tiles(grid)
        if cells is not None:
            views = [view for view in views if (cells & grid.covered(np.array([view], np.float32))).any()]
        return tuple(Sheet.of(ScaledView(view), *self._input) for view in views)

    def _tiles(self, cells: CellGrid) -> list[View]:
        look, width, height = self._look, cells.width, cells.height
        if look.tiles is not None:
            return grid(width, height, look.tiles, look.overlap)
        scale = largest_grid(width, height, self._input, _MOST_TILES, look.overlap)[0].scale
        return tiles(width, height, (round(self._input[0] / scale), round(self._input[1] / scale)), look.overlap)

    def _finished(self, task: _Task, found: Sequence[Shaped]) -> tuple[Shaped, Activity]:
        frame, camera = task.frame, task.camera
        if found or not camera.rests:
            camera = self._updated(task, found)
        if not frame.still:
            self._store(frame.camera, replace(camera, activity=self._learned(task, camera.known)))
        partly = bool(task.sheets) and not task.whole
        return camera.reported, Activity(task.active.cells, camera.grid.cell, len(found), partly)

    def _updated(self, task: _Task, found: Sequence[Shaped]) -> _Camera:
        frame, camera, views = task.frame, task.camera, task.views
        size = (frame.width, frame.height)
        everything = _in_frame(task, [one.detections for one in found])
        in_views = merged(everything, [one.view for one in views], size, self._suppression)
        known, kept = after_look(camera.known, in_views, views, frame.captured_at, size, _changed(task))
        kept = self._without_duplicates(kept)
        detections = Detections(kept.boxes, kept.scores, kept.class_ids, self._labels, kept.views < 0)
        shown = with_shapes(detections, kept.sources, _sources(task, found, everything), camera.shown, size)
        reported = self._select(shown, *size)
        rests = not found and not bool(known.moving.any())
        return replace(camera, known=known, shown=shown, reported=reported, rests=rests)

    def _without_duplicates(self, shown: ViewDetections) -> ViewDetections:
        """Removes carried objects that overlap a found one too much, whatever their scores."""
        is_carried = shown.views < 0
        found, carried = shown.select(~is_carried), shown.select(is_carried)
        return ViewDetections.concatenated([found, carried.select(~duplicates(carried, found, self._suppression))])

    def _learned(self, task: _Task, known: Known) -> ActivityState | None:
        """Returns the state of the activity after the looks. In regions, the whole frame shows too little to count."""
        state, grid = task.camera.activity, task.camera.grid
        if state is None:
            return None
        views = task.views if self._look.mode != "regions" else task.views[: len(task.views) - task.whole]
        at_cells = grid.covered(np.array([one.view for one in views], np.float32).reshape(-1, 4))
        return activity.looked(state, at_cells, grid.covered(known.boxes, grid.cell), task.elapsed)

    def _store(self, name: str, camera: _Camera) -> None:
        """Workers may finish out of order, so only a newer frame replaces the stored one; and none after `forget`."""
        with self._lock:
            stored = self._cameras.get(name)
            if stored is not None and stored.session is camera.session and stored.at <= camera.at:
                self._cameras[name] = camera


def _in_frame(task: _Task, found: Sequence[Detections]) -> ViewDetections:
    """Returns what was found on the sheets, and in the whole frame, in pixels of the frame."""
    parts, first, before = [], 0, 0
    for sheet, on_sheet in zip(task.sheets, found, strict=False):
        parts.append(in_frame(sheet, on_sheet, first, before))
        first += len(sheet.parts)
        before += len(on_sheet)
    if task.whole:
        of_frame = found[-1]
        views = np.full(len(of_frame), first, np.int64)
        sources = before + np.arange(len(of_frame))
        parts.append(ViewDetections(of_frame.boxes, of_frame.scores, of_frame.class_ids, views, sources))
    return ViewDetections.concatenated(parts)


def _sources(task: _Task, found: Sequence[Shaped], in_frame: ViewDetections) -> list[ShapeSource]:
    """Returns all that was found, by its number (`ViewDetections.sources`), with the way to the frame."""
    ways = [to_frame(part) for sheet in task.sheets for part in sheet.parts]
    same = np.ones(2), np.zeros(2)
    rows = [(one, row) for one in found for row in range(len(one))]
    view_of = dict(zip(in_frame.sources.tolist(), in_frame.views.tolist(), strict=True))
    sources = []
    for number, (one, row) in enumerate(rows):
        view = view_of.get(number, -1)
        scale, offset = ways[view] if 0 <= view < len(ways) else same
        sources.append(ShapeSource(one, row, scale, offset, on_frame=view >= 0))
    return sources


def _changed(task: _Task) -> Callable[[FloatArray], Mask]:
    """Returns a function that returns at which of the boxes xyxy [n, 4] something has changed."""
    cells, grid = task.active.cells, task.camera.grid

    def changed(boxes: FloatArray) -> Mask:
        if task.active.everything:
            return np.ones(len(boxes), np.bool_)
        parts = [cells[part] for part in grid.parts(boxes)]
        return np.array([np.count_nonzero(part) > _PASSING * part.size for part in parts], np.bool_)

    return changed
