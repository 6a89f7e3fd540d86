"""The activity map of synthetic scenes: what counts as activity, and which disturbances do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from sightd.plugins.activity.disturbances import Grid
from sightd.plugins.activity.model import ActiveCells, ActivityState, Mask, begin, looked, step

ROWS, COLUMNS = 68, 120
EVERYWHERE = np.ones((ROWS, COLUMNS), np.bool_)
NOWHERE = np.zeros((ROWS, COLUMNS), np.bool_)
FPS = 5.0
SETTLED = 15.0
"""Seconds after which what is to be learned has been learned."""


def room(seed: int = 1) -> Grid:
    """A picture with areas of different brightness and sharp edges between them, 20-220."""
    random = np.random.default_rng(seed)
    coarse = random.uniform(20, 220, (9, 15)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (COLUMNS, ROWS), interpolation=cv2.INTER_NEAREST), np.float32)


ROOM = room()


@dataclass
class Camera:
    """Feeds pictures to the model as a gate does that looks at what is active and finds something in `occupied`."""

    watched: Mask
    occupied: Mask
    fps: float = FPS
    state: ActivityState | None = None
    at: float = 100.0

    @classmethod
    def new(cls, watched: Mask = EVERYWHERE, occupied: Mask = NOWHERE, fps: float = FPS) -> Camera:
        return cls(watched, occupied, fps)

    def see(self, cells: Grid) -> ActiveCells:
        if self.state is None:
            self.state, active = begin(cells, self.at, self.watched)
        else:
            self.state, active = step(self.state, cells, self.at, self.watched)
        self.state = looked(self.state, active.cells, self.occupied, 1 / self.fps)
        self.at += 1 / self.fps
        return active


Scenery = Callable[[int, np.random.Generator], Grid]


def noisy(cells: Grid, random: np.random.Generator, deviation: float = 0.4) -> Grid:
    return np.clip(cells + random.normal(0, deviation, cells.shape), 0, 255).astype(np.float32)


def frames(scenery: Scenery, seconds: float, fps: float = FPS, seed: int = 7) -> Iterator[Grid]:
    random = np.random.default_rng(seed)
    for number in range(round(seconds * fps)):
        yield noisy(scenery(number, random), random)


def with_object(cells: Grid, row: float, column: float, size: tuple[int, int] = (4, 2), contrast: float = 25) -> Grid:
    """An object of `size` (rows, columns) cells at fractional `row`, `column`; brighter than what is behind it."""
    shown = np.zeros_like(cells)
    shown[:] = cells
    cover = np.zeros_like(cells)
    cover[: size[0], : size[1]] = 1
    moved = cv2.warpAffine(cover, np.array([[1, 0, column], [0, 1, row]], np.float64), (COLUMNS, ROWS))
    return np.asarray(shown + contrast * moved, np.float32)


def still(number: int, random: np.random.Generator) -> Grid:
    return ROOM


def flicker(number: int, random: np.random.Generator) -> Grid:
    """A lamp at mains frequency, out of step with the shutter: gain ±6 %."""
    return np.asarray(ROOM * (1 + 0.06 * np.sin(number * 2.1)), np.float32)


def strong_noise(number: int, random: np.random.Generator) -> Grid:
    return np.asarray(ROOM + random.normal(0, 2.5, ROOM.shape), np.float32)


def rain(number: int, random: np.random.Generator) -> Grid:
    """Streaks three cells high at 150 random places of each frame."""
    cells = ROOM.copy()
    for row, column in zip(random.integers(0, ROWS - 3, 150), random.integers(0, COLUMNS, 150), strict=True):
        cells[row : row + 3, column] += random.uniform(3, 8)
    return cells


def tree(number: int, random: np.random.Generator) -> Grid:
    """Leaves in the left upper corner, 20 x 25 cells."""
    cells = ROOM.copy()
    cells[:20, :25] += random.normal(0, 12, (20, 25)).astype(np.float32)
    return cells


def shake(number: int, random: np.random.Generator) -> Grid:
    """The camera sways in the wind by up to half a cell."""
    across, down = 0.5 * np.sin(number * 1.3), 0.4 * np.sin(number * 0.9)
    matrix = np.array([[1, 0, across], [0, 1, down]], np.float64)
    return np.asarray(cv2.warpAffine(ROOM, matrix, (COLUMNS, ROWS), borderMode=cv2.BORDER_REPLICATE), np.float32)


def clouds(number: int, random: np.random.Generator) -> Grid:
    """The light fades to 60 % over 20 s."""
    return np.asarray(ROOM * max(1 - 0.02 * number / FPS, 0.6), np.float32)


def exposure_step(number: int, random: np.random.Generator) -> Grid:
    """The camera opens its iris every 4 s, and closes it again."""
    return np.asarray(np.clip(ROOM * (1.35 if number // (4 * FPS) % 2 else 1.0), 0, 255), np.float32)


DISTURBANCES = {
    "nothing": (still, 0.0),
    "noise": (strong_noise, 0.002),
    "flicker": (flicker, 0.0),
    "rain": (rain, 0.01),
    "tree": (tree, 0.01),
    "shake": (shake, 0.01),
    "clouds": (clouds, 0.0),
    "exposure": (exposure_step, 0.01),
}
"""Name, scenery, and the largest mean share of the cells that may be active once the model has settled."""


@pytest.mark.parametrize(("scenery", "most"), DISTURBANCES.values(), ids=DISTURBANCES)
def test_a_disturbance_is_no_activity(scenery: Scenery, most: float) -> None:
    camera = Camera.new()
    seen = [camera.see(cells) for cells in frames(scenery, 2 * SETTLED)]
    settled = seen[round(SETTLED * FPS) :]
    assert not any(active.everything for active in settled)
    assert np.mean([active.cells.mean() for active in settled]) <= most


@pytest.mark.parametrize("scenery", [scenery for scenery, _ in DISTURBANCES.values()], ids=DISTURBANCES)
def test_somebody_who_walks_through_a_disturbance_is_seen_within_half_a_second(scenery: Scenery) -> None:
    camera = Camera.new()
    for cells in frames(scenery, SETTLED):
        camera.see(cells)

    def walking(number: int, random: np.random.Generator) -> Grid:
        after = number + round(SETTLED * FPS)
        return with_object(scenery(after, random), 40, 60 + number * 0.8, contrast=45)

    seen = [camera.see(cells).cells[38:46, 58:70].any() for cells in frames(walking, 0.6)]
    assert any(seen)


def test_the_first_frame_is_to_be_looked_at_everywhere() -> None:
    active = Camera.new().see(ROOM)
    assert active.everything
    assert active.cells.all()


def test_an_object_that_has_stopped_is_active_until_it_was_looked_at() -> None:
    camera = Camera.new()
    for cells in frames(still, 3):
        camera.see(cells)
    there = with_object(ROOM, 30, 50)
    shown = [camera.see(cells).cells.any() for cells in frames(lambda number, random: there, 2)]
    assert any(shown[:2])
    assert not any(shown[3:])


def test_an_object_that_moves_too_slowly_for_two_frames_adds_up_against_the_last_look() -> None:
    camera = Camera.new()
    for cells in frames(still, 3):
        camera.see(cells)

    def creeping(number: int, random: np.random.Generator) -> Grid:
        return with_object(ROOM, 30, 50 + number / FPS * 0.25)  # a cell in four seconds

    seen = [camera.see(cells).cells.any() for cells in frames(creeping, 12)]
    assert sum(seen[round(2 * FPS) :]) >= 2


def test_a_place_that_was_not_looked_at_stays_active() -> None:
    camera = Camera.new()
    for cells in frames(still, 3):
        camera.see(cells)
    assert camera.state is not None
    there = with_object(ROOM, 30, 50, contrast=60)
    state, at = camera.state, camera.at
    for cells in frames(lambda number, random: there, 4):
        state, active = step(state, cells, at, EVERYWHERE)
        at += 1 / FPS
    assert active.cells[30:34, 50:52].all()


def test_a_switch_to_infrared_is_a_new_picture_once() -> None:
    camera = Camera.new()
    for cells in frames(still, 3):
        camera.see(cells)
    infrared = room(seed=2)
    seen = [camera.see(cells).everything for cells in frames(lambda number, random: infrared, 2)]
    assert seen[0]
    assert not any(seen[1:])


def test_a_camera_that_was_turned_a_little_for_good_is_learned_again() -> None:
    camera = Camera.new()
    for cells in frames(still, 3):
        camera.see(cells)
    matrix = np.array([[1, 0, 2.0], [0, 1, 1.0]], np.float64)
    turned = np.asarray(cv2.warpAffine(ROOM, matrix, (COLUMNS, ROWS), borderMode=cv2.BORDER_REPLICATE), np.float32)
    seen = [camera.see(cells) for cells in frames(lambda number, random: turned, 6)]
    assert sum(active.everything for active in seen) == 1
    assert not seen[-1].cells.any()


def test_after_an_outage_everything_is_to_be_looked_at() -> None:
    camera = Camera.new()
    for cells in frames(still, 3):
        camera.see(cells)
    camera.at += 6
    assert camera.see(ROOM).everything


def test_masked_cells_are_never_active() -> None:
    watched = EVERYWHERE.copy()
    watched[:20, :25] = False
    camera = Camera.new(watched)
    seen = [camera.see(cells).cells for cells in frames(tree, 5)]
    assert not any(cells[:20, :25].any() for cells in seen)
    assert not any(cells.any() for cells in seen[1:])


def test_a_restless_place_where_objects_are_found_keeps_its_threshold() -> None:
    """A busy pavement must not be learned as a tree."""
    pavement = NOWHERE.copy()
    pavement[30:38] = True

    def busy(number: int, random: np.random.Generator) -> Grid:
        return with_object(ROOM, 32, (number * 3) % 110, contrast=40)

    camera = Camera.new(occupied=pavement)
    for cells in frames(busy, 60):
        camera.see(cells)
    camera.see(ROOM)  # the last passer-by has gone
    faint = [
        camera.see(cells).cells[30:38].any()
        for cells in frames(lambda number, random: with_object(ROOM, 32, 21 + 3 * number, contrast=5), 1)
    ]
    assert any(faint)


def test_at_one_frame_per_second_a_single_frame_is_believed() -> None:
    camera = Camera.new(fps=1.0)
    for cells in frames(still, 10, fps=1.0):
        camera.see(cells)
    there = noisy(with_object(ROOM, 30, 50, contrast=8), np.random.default_rng(3))
    assert camera.see(there).cells.any()


def test_an_object_that_covers_a_third_of_the_picture_is_no_change_of_the_light() -> None:
    camera = Camera.new()
    for cells in frames(still, 3):
        camera.see(cells)
    truck = ROOM.copy()
    truck[10:60, 20:65] = 140
    active = camera.see(noisy(truck, np.random.default_rng(3)))
    assert not active.everything
    assert active.cells[12:58, 22:63].mean() > 0.8
    assert active.cells[:, 70:].mean() < 0.01
