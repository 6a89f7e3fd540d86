"""The activity model of one camera: which cells of the picture have changed since they were last looked at.

Pure functions on immutable states, with time passed in. The picture is a grid of cells (`cells.py`). For each cell the
model keeps

- a **reference**: its luma when a model last looked at it, slowly following the light (`_FOLLOW`);
- a **variance**: how much it varies without anything being there, such as noise and leaves;
- its **restlessness**: how often it was active without anything being found there, such as in rain, which is rare in
  each cell but everywhere. Both raise the cell's threshold, and sink again if it calms down.

So activity means "differs from what was there at the last look by more than this cell usually varies". An object that
moves slowly adds up against the last look until it is seen, and an object that has stopped is not active once it was
looked at.

Before cells are compared, changes of the whole picture are taken out: gain and offset of the exposure (also flicker),
and movement of the camera. If a large part of the picture still differs (infrared switched on, the camera turned,
lights out), everything is learned again, and everything is to be looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.plugins.activity.disturbances import Grid, exposure, moved_back, shift

Mask = NDArray[np.bool_]

_SIGMAS = 4.0
"""A cell is active if it differs by more than this many of its standard deviations."""
_LEAST = 3.0
"""Least difference in grey levels: below it, compression by itself explains a change of a cell's mean."""
_MOST = 48.0
"""The threshold of the most restless cell, in grey levels: strong contrast is always seen."""
_FIRST_DEVIATION = 1.0
"""Standard deviation of a cell about which nothing is known yet, in grey levels."""
_LEARN = 30.0
"""Time constant of the variance, in s."""
_SURPRISE = 1.5
"""A difference counts for the variance as at most this many thresholds, so that one passing bird does not blind its
path."""
_RESTLESS, _MOST_RESTLESS = 0.15, 3.0
"""By how many thresholds a cell's threshold rises each time that it was active for nothing, and at most."""
_CALM = 60.0
"""Time constant with which a cell's restlessness sinks, in s."""
_FOLLOW = 4.0
"""Time constant with which inactive cells follow the light, in s: an object must change a cell by `_LEAST` within
about this time to be noticed."""
_STRONG = 2.0
"""A group of cells above this many thresholds is believed at once; a weaker one if it was there on the frame before."""
_STRONG_CELLS = 3
_LONG_AGO = 0.4
"""If the previous frame is older than this (s), it cannot confirm a weak group, and all groups are believed."""
_NEW_PICTURE = 0.4
"""If more than this share of the cells differs, the picture is a different one."""
_SHAKEN = 0.02
"""Share of the cells that must differ before movement of the camera is looked for."""
_SHAKE_EXPLAINS = 0.6
"""Movement of the camera is believed if it leaves at most this share of the differing cells."""
_DISPLACED, _DISPLACED_AFTER = 0.75, 1.0
"""A camera that stays displaced by more cells than this (time constant in s) was moved for good: learn again."""
_OUTAGE = 5.0
"""After so many seconds without a frame, everything is to be looked at."""
_STILL_SHAKING = 0.1
_SLOPE = 0.25
"""What movement of the camera leaves uncompensated, in cells: edges may differ by this share of their slope."""


@dataclass(frozen=True, slots=True, eq=False)
class ActivityState:
    """What is known about a camera after the frame at `at` (s). Grids are float32 [rows, columns].

    `current` is that frame, moved back if the camera had moved; `difference` is what it differed by from the reference
    of the frame before; `raw` are the cells that differed, before groups were judged. `displaced` is the running mean
    of the camera's movement (right, down) in cells; `shaken` says whether the camera moved recently, 0-1.
    """

    at: float
    reference: Grid
    variance: Grid
    restless: Grid
    raw: Mask
    current: Grid
    difference: Grid
    displaced: tuple[float, float] = (0.0, 0.0)
    shaken: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class ActiveCells:
    """The cells that changed since they were last looked at, bool [rows, columns]. `everything`: the picture is new, so
    all of it is to be looked at; `cells` are then all true, except masked ones."""

    cells: Mask
    everything: bool


def begin(cells: Grid, at: float, watched: Mask) -> tuple[ActivityState, ActiveCells]:
    """Returns the state after a first frame, and that everything is to be looked at."""
    variance = np.full(cells.shape, _FIRST_DEVIATION**2, np.float32)
    return _new_picture(cells, variance, np.zeros_like(cells), at, watched)


def step(before: ActivityState, cells: Grid, at: float, watched: Mask) -> tuple[ActivityState, ActiveCells]:
    """Returns the state after the frame `cells` at `at` (s), and the active cells.

    `watched` [rows, columns] is false for masked cells, which never are active. Time that does not advance or runs
    backwards counts as no time.
    """
    elapsed = max(at - before.at, 0.0)
    if cells.shape != before.reference.shape:
        return begin(cells, at, watched)
    seen, moved, shaken = _steadied(before, cells, watched, elapsed)
    displaced = _displaced(before.displaced, moved, elapsed)
    is_new = np.count_nonzero(seen.raw) > _NEW_PICTURE * np.count_nonzero(watched)
    if elapsed > _OUTAGE or is_new or np.hypot(*displaced) > _DISPLACED:
        return _new_picture(cells, before.variance, before.restless, at, watched)
    active = _believed(seen.raw, seen.score, before.raw if elapsed <= _LONG_AGO else None)
    state = ActivityState(
        at=at,
        reference=_followed(seen, elapsed),
        variance=before.variance,
        restless=before.restless,
        raw=seen.raw,
        current=seen.cells,
        difference=seen.cells - seen.reference,
        displaced=displaced,
        shaken=shaken,
    )
    return state, ActiveCells(active, everything=False)


def looked(state: ActivityState, at_cells: Mask, occupied: Mask, elapsed: float) -> ActivityState:
    """Returns the state after a model has looked at the cells `at_cells` on the frame of the last `step`, `elapsed` s
    after the frame before it.

    Those cells become the reference. Cells in which nothing was found, which are those outside `occupied` (the boxes of
    all known objects), learn how much they vary.
    """
    share = np.float32(min(elapsed / _LEARN, 1.0))
    limit = _SURPRISE * _threshold(state, state.shaken)
    difference = np.minimum(np.abs(state.difference), limit)
    learned = state.variance + share * (difference * difference - state.variance)
    np.copyto(learned, state.variance, where=occupied | (state.raw & ~at_cells))
    restless = state.restless * np.float32(1 - min(elapsed / _CALM, 1.0))
    if not at_cells.any():
        return replace(state, variance=learned, restless=restless)
    restless[at_cells & state.raw & ~occupied] += np.float32(_RESTLESS)
    np.minimum(restless, _MOST_RESTLESS, out=restless)
    reference = np.where(at_cells, state.current, state.reference)
    return replace(state, reference=reference, variance=learned, restless=restless)


def _steadied(
    before: ActivityState, cells: Grid, watched: Mask, elapsed: float
) -> tuple[_Compared, tuple[float, float], float]:
    """Returns the frame compared with the reference, moved back if that explains most of the difference; how far the
    camera has moved; and whether it moved recently, 0-1."""
    shaken = before.shaken * float(np.exp(-elapsed / _DISPLACED_AFTER))
    seen = _compared(before, cells, watched, shaken)
    if np.count_nonzero(seen.raw) <= _SHAKEN * seen.raw.size:
        return seen, (0.0, 0.0), shaken
    by = shift(seen.reference, cells)
    if by is None:
        return seen, (0.0, 0.0), shaken
    steadied = _compared(before, moved_back(cells, by), watched, shaken)
    if np.count_nonzero(steadied.raw) > _SHAKE_EXPLAINS * np.count_nonzero(seen.raw):
        return seen, (0.0, 0.0), shaken
    return steadied, by, 1.0


def _displaced(before: tuple[float, float], moved: tuple[float, float], elapsed: float) -> tuple[float, float]:
    share = min(elapsed / _DISPLACED_AFTER, 1.0)
    return before[0] + share * (moved[0] - before[0]), before[1] + share * (moved[1] - before[1])


def _new_picture(
    cells: Grid, variance: Grid, restless: Grid, at: float, watched: Mask
) -> tuple[ActivityState, ActiveCells]:
    nowhere = np.zeros(cells.shape, np.bool_)
    state = ActivityState(at, cells, variance, restless, nowhere, cells, np.zeros_like(cells))
    return state, ActiveCells(watched.copy(), everything=True)


def _threshold(state: ActivityState, shaken: float) -> Grid:
    usual = np.maximum(_SIGMAS * np.sqrt(state.variance), _LEAST)
    threshold: Grid = np.asarray(usual * (1 + state.restless), np.float32)
    np.minimum(threshold, _MOST, out=threshold)
    if shaken > _STILL_SHAKING:
        threshold += np.float32(_SLOPE) * _slope(state.reference)
    return threshold


def _slope(reference: Grid) -> Grid:
    """Returns how much the luma changes from cell to cell, in grey levels per cell."""
    kernel = np.ones((3, 3), np.uint8)
    spread = cv2.dilate(reference, kernel) - cv2.erode(reference, kernel)
    return np.asarray(spread / 2, np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _Compared:
    """A frame against the reference, which has its exposure now; `score` is the difference in thresholds."""

    cells: Grid
    reference: Grid
    score: Grid
    raw: Mask


def _compared(before: ActivityState, cells: Grid, watched: Mask, shaken: float) -> _Compared:
    gain, offset = exposure(before.reference, cells)
    reference = np.clip(np.float32(gain) * before.reference + np.float32(offset), 0, 255)
    score = np.abs(cells - reference) / _threshold(before, shaken)
    return _Compared(cells, reference, score, (score > 1) & watched)


def _believed(raw: Mask, score: Grid, previous: Mask | None) -> Mask:
    """Returns the groups of differing cells that are no noise: single cells never are; a weak group must have been
    there on the `previous` frame (None: there is none to ask), a strong one is believed at once."""
    if np.count_nonzero(raw) < 2:
        return np.zeros(raw.shape, np.bool_)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(raw.view(np.uint8), connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA]
    believed = areas > 1
    if previous is not None:
        strong = np.bincount(labels[score > _STRONG], minlength=count) >= _STRONG_CELLS
        nearby = cv2.dilate(previous.view(np.uint8), np.ones((5, 5), np.uint8)).view(np.bool_)
        again = np.bincount(labels[nearby & raw], minlength=count) > 0
        believed &= strong | again
    believed[0] = False
    found: Mask = believed[labels]
    return found


def _followed(seen: _Compared, elapsed: float) -> Grid:
    share = np.float32(min(elapsed / _FOLLOW, 1.0))
    return np.where(seen.raw, seen.reference, seen.reference + share * (seen.cells - seen.reference))
