"""Where the detector looks: parts of the frame, and only where something happens, without losing an object.

The model is replaced by one that finds plain red rectangles exactly, if they are at least twelve pixels high in the
image that it is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import pytest

from sightd.plugins.activity.config import GateOptions
from sightd.plugins.activity.result import Activity
from sightd.plugins.api import Detections, FloatArray, Frame, Image
from sightd.plugins.detector import looking
from sightd.plugins.detector.looking import LookingDetector
from sightd.plugins.detector.shaped import Shaped
from sightd.plugins.look.config import LookOptions
from sightd.plugins.look.merging import Suppression, ViewDetections
from sightd.plugins.look.sheets import ImageSource

WIDTH, HEIGHT = 960, 540
INPUT = (208, 208)
FPS = 5.0
TILES = 6 * 3
Box = tuple[int, int, int, int]
SMALL: Box = (600, 250, 612, 280)
LARGE: Box = (100, 50, 250, 450)


class RedBoxes:
    """Finds red rectangles as a model with an input of 208 x 208 px does: the image is reduced to it, and what is
    smaller than twelve pixels then is not found. `seen` are the sizes of the images."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []
        self.batches: list[int] = []

    def shaped(self, images: Sequence[ImageSource]) -> list[Shaped]:
        self.batches.append(len(images))
        return [Shaped(self._in(image.host())) for image in images]

    def _in(self, image: Image) -> Detections:
        height, width = image.shape[:2]
        self.seen.append((width, height))
        scale = min(INPUT[0] / width, INPUT[1] / height, 1.0)
        red = np.asarray(cv2.subtract(cv2.extractChannel(image, 2), cv2.extractChannel(image, 0)) > 100, np.uint8)
        left, top, across, down = cv2.boundingRect(red)
        stats: Any = np.zeros((1, 5), np.int32)
        if across:  # searching all of the picture would take most of the time of these tests
            _, _, stats, _ = cv2.connectedComponentsWithStats(red[top : top + down, left : left + across])
        x, y, w, h = (stats[1:, :4] + (left, top, 0, 0)).T.astype(np.float32)
        boxes = np.stack((x, y, x + w, y + h), axis=1)[h * scale >= 12]
        count = len(boxes)
        return Detections(boxes, np.full(count, 0.6, np.float32), np.zeros(count, np.int64), ("box",))


WALL = np.asarray(cv2.resize(np.random.default_rng(1).integers(90, 130, (27, 48, 3), np.uint8), (WIDTH, HEIGHT)))
NOISE = np.random.default_rng(2).integers(0, 4, (HEIGHT + 32, WIDTH + 32, 3), np.uint8)


def picture(*boxes: Box, number: int = 0) -> Image:
    """A wall with red boxes before it, and the noise of frame `number`."""
    image = WALL.copy()
    for x1, y1, x2, y2 in boxes:
        image[y1:y2, x1:x2] = (20, 20, 230)
    y, x = number * 7 % 32, number * 13 % 32
    return np.asarray(image + NOISE[y : y + HEIGHT, x : x + WIDTH], np.uint8)


class Watch:
    """A camera at five frames a second, and a detector that looks at it."""

    def __init__(self, look: Mapping[str, Any], gate: Mapping[str, Any] | None = None, name: str = "door") -> None:
        self.model, self.name, self.number = RedBoxes(), name, 0
        self.detector = LookingDetector(
            self.model,
            ("box",),
            INPUT,
            Suppression(0.5, agnostic=False),
            LookOptions.model_validate(look),
            GateOptions.model_validate({"mode": "off"} if gate is None else gate),
            lambda found, width, height: found,
        )
        self.activity: Activity | None = None

    @property
    def at(self) -> float:
        return 50 + self.number / FPS

    def frame(self, image: Image, *, still: bool = False) -> Frame:
        return Frame.of(image, camera=self.name, seq=self.number, captured_at=self.at, still=still)

    def look(self, *boxes: Box) -> Detections:
        ((found, self.activity),) = self.detector.find([self.frame(picture(*boxes, number=self.number))])
        self.number += 1
        return found.detections

    def see(self, *boxes: Box) -> FloatArray:
        return self.look(*boxes).boxes

    def settle(self, *boxes: Box, seconds: float = 6) -> FloatArray:
        for _ in range(round(seconds * FPS)):
            last = self.see(*boxes)
        return last

    @property
    def runs(self) -> int:
        return len(self.model.seen)


def close(found: FloatArray, *expected: Box, by: float = 3) -> bool:
    """Whether there is exactly one box for each expected one, at most `by` px away."""
    if len(found) != len(expected):
        return False
    return all(bool((np.abs(found - np.array(box)).max(axis=1) <= by).any()) for box in expected)


PAIR: list[Any] = [
    ((100, 100, 200, 300), np.array([0.9], np.float32), np.array([0]), np.array([-1])),
    ((110, 100, 210, 300), np.array([0.3], np.float32), np.array([0]), np.array([0])),
]
"""A carried box and a found one that overlap by 82 %: box, score, class, view."""

MODES: dict[str, tuple[dict[str, Any], dict[str, Any] | None]] = {
    "tiles": ({"mode": "tiles"}, None),
    "regions": ({"mode": "regions"}, None),
    "tiles, gated": ({"mode": "tiles"}, {}),
    "regions, gated": ({"mode": "regions"}, {}),
}


@pytest.fixture(params=list(MODES.values()), ids=list(MODES))
def watch(request: pytest.FixtureRequest) -> Watch:
    return Watch(*request.param)


def test_the_whole_frame_alone_shows_large_objects_only() -> None:
    assert close(Watch({"mode": "frame"}, {}).settle(SMALL, LARGE), LARGE)


def test_small_and_large_objects_are_found_once_each_in_frame_pixels(watch: Watch) -> None:
    assert close(watch.settle(SMALL, LARGE), SMALL, LARGE)


def test_objects_across_the_edges_of_tiles_are_found_once(watch: Watch) -> None:
    boxes: list[Box] = [(x, 300, x + 20, 330) for x in range(280, 930, 47)]
    assert close(watch.settle(*boxes), *boxes)


def test_a_resting_object_is_reported_on_every_frame(watch: Watch) -> None:
    watch.settle(SMALL, LARGE)
    for _ in range(60):
        assert close(watch.see(SMALL, LARGE), SMALL, LARGE)


def test_an_object_that_has_gone_is_no_longer_reported_two_frames_later(watch: Watch) -> None:
    watch.settle(SMALL, LARGE)
    watch.see(LARGE)
    assert close(watch.see(LARGE), LARGE)


def test_a_small_object_that_appears_is_found_within_half_a_second(watch: Watch) -> None:
    watch.settle(LARGE)
    found = [close(watch.see(LARGE, SMALL), LARGE, SMALL) for _ in range(3)]
    assert any(found)
    assert found[-1]


def test_a_small_object_that_walks_is_reported_where_it_is(watch: Watch) -> None:
    watch.settle()
    for step in range(30):
        found = watch.see((300 + 8 * step, 300, 315 + 8 * step, 340))
        if step > 3:
            assert close(found, (300 + 8 * step, 300, 315 + 8 * step, 340), by=8)


def test_a_photograph_is_looked_at_completely_and_remembers_nothing(watch: Watch) -> None:
    ((found, _),) = watch.detector.find([watch.frame(picture(SMALL, LARGE), still=True)])
    assert close(found.detections.boxes, SMALL, LARGE)
    ((found, _),) = watch.detector.find([watch.frame(picture(LARGE), still=True)])
    assert close(found.detections.boxes, LARGE)


@pytest.mark.parametrize("mode", ["frame", "tiles", "regions"])
def test_with_the_gate_a_still_picture_costs_next_to_nothing(mode: str) -> None:
    gated = Watch({"mode": mode}, {"confirm_every": "5s"})
    gated.settle(SMALL, LARGE, seconds=8)
    before = gated.runs
    for _ in range(round(20 * FPS)):
        gated.see(SMALL, LARGE)
    looks = gated.runs - before
    tiles = 1 + TILES
    assert looks <= 4 * {"frame": 1, "tiles": tiles, "regions": 3}[mode]
    assert looks >= 3


@pytest.mark.parametrize("mode", ["frame", "tiles", "regions"])
def test_without_activity_no_look_and_known_objects_are_reported(mode: str) -> None:
    gated = Watch({"mode": mode}, {})
    last = gated.settle(SMALL, LARGE, seconds=8)
    before = gated.runs
    kept = gated.see(SMALL, LARGE)
    assert gated.runs == before
    assert gated.activity is not None
    assert gated.activity.looked_at == "nothing"
    assert len(kept) == len(last) > 0


def test_in_a_still_picture_nothing_is_computed_again_until_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    gated = Watch({"mode": "regions"}, {})
    gated.settle(SMALL, LARGE, seconds=8)
    kept = gated.look(SMALL, LARGE)
    with monkeypatch.context() as patched:
        patched.setattr(looking, "after_look", None)
        again = gated.look(SMALL, LARGE)
    assert again is kept
    assert again.carried.all()
    assert close(gated.settle(SMALL), SMALL), "and something that changes is seen"


def test_a_switch_to_infrared_has_everything_looked_at_again() -> None:
    gated = Watch({"mode": "tiles"}, {})
    gated.settle(LARGE)
    before = gated.runs
    negative = 255 - picture(SMALL)
    gated.detector.find([gated.frame(negative)])
    assert gated.runs - before == 1 + TILES


def test_changes_in_an_ignored_place_are_no_reason_to_look() -> None:
    corner = [[(0, 0), (0.5, 0), (0.5, 1), (0, 1)]]
    gated = Watch({"mode": "frame"}, {"ignore": corner})
    gated.settle()
    before = gated.runs
    for step in range(10):
        gated.see((100 + 20 * step, 150, 160 + 20 * step, 270))
    assert gated.runs == before
    gated.see((700, 150, 750, 300))
    assert gated.runs == before + 1


def test_cameras_are_looked_at_together_and_kept_apart() -> None:
    watch = Watch({"mode": "regions"})
    for number in range(20):
        frames = [
            Frame.of(picture(box, number=number), camera=name, seq=number, captured_at=number / FPS)
            for name, box in (("door", SMALL), ("yard", LARGE))
        ]
        (door, _), (yard, _) = watch.detector.find(frames)
    assert close(door.detections.boxes, SMALL)
    assert close(yard.detections.boxes, LARGE)


def test_a_camera_with_another_frame_size_begins_anew(watch: Watch) -> None:
    watch.settle(LARGE)
    small = np.ascontiguousarray(picture()[:270, :480])
    frame = Frame.of(small, camera=watch.name, seq=99, captured_at=watch.at)
    ((found, _),) = watch.detector.find([frame])
    assert len(found) == 0


def test_a_forgotten_camera_is_looked_at_as_a_new_one(watch: Watch) -> None:
    watch.settle(LARGE)
    watch.detector.forget(watch.name)
    assert len(watch.see()) == 0


@pytest.mark.parametrize("still", [True, False])
def test_the_model_gets_eight_images_at_a_time_however_many_tiles_there_are(*, still: bool) -> None:
    watch = Watch({"mode": "tiles"})
    watch.detector.find([watch.frame(picture(SMALL), still=still)] * 3)
    assert watch.runs == 3 * (1 + TILES)
    assert max(watch.model.batches) == 8
    assert len(watch.model.batches) == -(-watch.runs // 8)


@pytest.mark.parametrize("size", [(3840, 2160), (9000, 3000), (1000, 8000)])
def test_a_frame_of_very_many_tiles_is_shown_in_sixty_four_reduced_ones(size: tuple[int, int]) -> None:
    width, height = size
    image = np.full((height, width, 3), 110, np.uint8)
    large: Box = (width // 2, height // 2, width // 2 + 60, height // 2 + 200)
    image[large[1] : large[3], large[0] : large[2]] = (20, 20, 230)
    watch = Watch({"mode": "tiles"})
    ((found, _),) = watch.detector.find([watch.frame(image, still=True)])
    assert 40 <= watch.runs <= 1 + 64
    assert close(found.detections.boxes, large, by=8)


def test_a_number_of_tiles_that_was_asked_for_is_kept() -> None:
    watch = Watch({"mode": "tiles", "tiles": [10, 8]})
    watch.see(LARGE)
    assert watch.runs == 1 + 80


@pytest.mark.parametrize("mode", ["frame", "tiles", "regions"])
def test_objects_that_no_look_has_shown_on_this_frame_are_marked_as_carried(mode: str) -> None:
    gated = Watch({"mode": mode}, {})
    assert gated.look(LARGE).carried.tolist() == [False]
    gated.settle(LARGE, seconds=8)
    before = gated.runs
    kept = gated.look(LARGE)
    assert gated.runs == before
    assert kept.carried.tolist() == [True]


@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_carried_into_another_scene(mode: str) -> None:
    watch = Watch(*MODES[mode])
    assert close(watch.settle(SMALL), SMALL)
    cut = cv2.resize(np.random.default_rng(9).integers(0, 255, (9, 16, 1), np.uint8), (WIDTH, HEIGHT))
    grey = np.asarray(cv2.cvtColor(cut, cv2.COLOR_GRAY2BGR), np.uint8)
    ((found, _),) = watch.detector.find([watch.frame(grey)])
    assert len(found) == 0
    watch.number += 1
    assert watch.detector._cameras[watch.name].known.boxes.tolist() == []
    watch.detector.forget(watch.name)
    assert watch.detector._cameras == {}


def test_a_carried_object_gives_way_to_a_found_one_whatever_their_scores() -> None:
    """A second box of the same place, of another size than matching tolerates, as coarse models give it."""
    old, new = (
        ViewDetections(np.array([box], np.float32), scores, class_ids, views, np.array([-1]))
        for box, scores, class_ids, views in PAIR
    )
    watch = Watch({"mode": "tiles"})
    shown = watch.detector._without_duplicates(ViewDetections.concatenated([old, new]))
    assert shown.scores == pytest.approx([0.3])


class Interrupted(RedBoxes):
    """A model during whose run the camera is forgotten, as by a reload of the configuration."""

    watch: Watch | None = None

    def shaped(self, images: Sequence[ImageSource]) -> list[Shaped]:
        found = super().shaped(images)
        if self.watch is not None:
            self.watch.detector.forget(self.watch.name)
        return found


def test_a_frame_that_is_finished_after_its_camera_was_forgotten_leaves_nothing_behind(watch: Watch) -> None:
    watch.settle(LARGE)
    model = Interrupted()
    model.watch = watch
    watch.detector._finder = model
    watch.see(LARGE)
    watch.see((400, 100, 500, 400))
    assert watch.detector._cameras == {}


def test_regions_keep_to_their_budget() -> None:
    watch = Watch({"mode": "regions", "runs_per_second": 6})
    random = np.random.default_rng(3)
    for _ in range(50):
        x, y = random.integers(0, 450, 2).tolist()
        watch.see((x, y, x + 15, y + 30), (x + 300, y // 2, x + 320, y // 2 + 45))
    assert watch.runs <= 10 * 6 + 3


def test_the_activity_says_how_much_was_looked_at() -> None:
    watch = Watch({"mode": "regions"}, {})
    watch.see(LARGE)
    assert watch.activity is not None
    assert watch.activity.looked_at == "frame"
    counts = {(count.metric, count.value): count.number for count in watch.activity.counts()}
    assert counts["look_analyses", "frame"] == 1
    assert counts["look_runs", None] == watch.runs
    assert counts["active_cells", None] == watch.activity.cells.size
