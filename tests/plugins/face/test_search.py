"""Small faces are found in close-ups: of people, of what was found before, and of parts of the frame in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest

from sightd.plugins.api import FloatArray, Frame, Image
from sightd.plugins.face.detector import DetectedFaces, HostFaceDetector, Plan, Search, sure
from sightd.plugins.face.search import FaceSearch, SearchPlanner
from tests.support.faces import engine, photo

NOBODY = np.zeros((0, 4), np.float32)
SEARCH = Search(min_score=0.3)
FULL_HD = (1920, 1080)


def frame_of(size: tuple[int, int] = FULL_HD, at: float = 0.0, *, still: bool = False) -> Frame:
    return Frame.of(np.zeros((size[1], size[0], 3), np.uint8), captured_at=at, still=still)


def crowd(
    height: float, at: tuple[int, int] = (1500, 700), size: tuple[int, int] = FULL_HD
) -> tuple[Image, FloatArray]:
    """Returns a large image with five faces of about `height` pixels, and their boxes."""
    group = photo("multi_face.jpg").copy()
    (faces,) = HostFaceDetector(engine("yunet"), Search()).find([one := Frame.of(group)], [Plan.whole(one)])
    scale = height / float(np.median(faces.boxes[:, 3] - faces.boxes[:, 1]))
    small = cv2.resize(group, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    image = np.full((size[1], size[0], 3), 90, np.uint8)
    image[at[1] : at[1] + small.shape[0], at[0] : at[0] + small.shape[1]] = small
    return image, (faces.boxes * np.float32(scale) + np.tile(np.array(at, np.float32), 2)).astype(np.float32)


def person_of(face: FloatArray) -> list[float]:
    """Returns a standing person's box with that face."""
    left, top, right, bottom = face.tolist()
    height = bottom - top
    return [left - height, top - 0.3 * height, right + height, top + 7 * height]


class Counting(HostFaceDetector):
    """Records the plans, and counts the inputs of the model."""

    def __init__(self, search: Search = SEARCH) -> None:
        super().__init__(engine("yunet"), search)
        self.plans: list[Plan] = []

    def find(self, frames: Sequence[Frame], plans: Sequence[Plan]) -> list[DetectedFaces]:
        self.plans += plans
        return super().find(frames, plans)

    @property
    def inputs(self) -> int:
        return sum(len(plan.views) + len(plan.sheets) for plan in self.plans)


def found_sure(faces: DetectedFaces) -> int:
    return int(sure(faces, replace(SEARCH, min_score=SEARCH.sure_score)).sum())


def search_video(image: Image, people: FloatArray | None, frames: int, search: Search = SEARCH) -> tuple[int, Counting]:
    """Returns the faces of the last of some equal frames of a video, ten per second, and the detector."""
    detector = Counting(search)
    face_search, boxes = FaceSearch(detector, search), NOBODY
    for n in range(frames):
        (faces,) = face_search.find([Frame.of(image, captured_at=n / 10)], [people], [boxes])
        boxes = faces.boxes[sure(faces, replace(search, min_score=search.sure_score))]
    return len(boxes), detector


def test_the_heads_of_people_share_one_input() -> None:
    image, boxes = crowd(20)
    people = np.array([person_of(face) for face in boxes], np.float32)
    assert search_video(image, None, 1, replace(SEARCH, close_ups=0))[0] == 0, "too small in the whole frame"
    found, detector = search_video(image, people, 1)
    assert found == 5
    assert detector.inputs == 2, "the whole frame, and all heads together"


def test_people_whose_faces_are_large_enough_in_the_whole_frame_cost_nothing_more() -> None:
    people = np.array([[100, 50, 600, 1080]], np.float32)
    plan = SearchPlanner(SEARCH).plan(frame_of(), people, NOBODY)
    assert (len(plan.views), len(plan.sheets)) == (1, 0)


def test_a_close_up_that_would_show_nothing_more_is_not_made() -> None:
    """In a frame that is not scaled down only faces small enough to be enlarged gain from one."""
    planner, size = SearchPlanner(SEARCH), (640, 360)
    for side, sheets in ((20, 1), (35, 0)):
        face = np.array([[100, 100, 100 + side, 100 + side]], np.float32)
        assert len(planner.plan(frame_of(size), None, face).sheets) == sheets
        assert all(part.scale == 2 for sheet in planner.plan(frame_of(size), None, face).sheets for part in sheet.parts)
    far = np.array([[100, 100, 135, 135]], np.float32)
    assert len(planner.plan(frame_of(), NOBODY, far).sheets) == 1, "a larger frame is scaled down"


def test_without_a_detector_parts_of_a_video_are_searched_in_turn_and_found_faces_stay() -> None:
    image, _ = crowd(24)
    found, detector = search_video(image, None, 12)
    assert found == 5
    parts = [view for plan in detector.plans[:8] for view in plan.views[1:]]
    covered = np.zeros((1080, 1920), bool)
    for left, top, right, bottom in parts:
        covered[top:bottom, left:right] = True
    assert covered.all(), "every part had its turn within eight frames"
    assert max(len(plan.views) + len(plan.sheets) for plan in detector.plans) <= 3, "few inputs per frame"


def test_if_a_detector_finds_nobody_no_parts_are_searched_unless_faces_are_redacted() -> None:
    plan = SearchPlanner(SEARCH).plan(frame_of(), NOBODY, NOBODY)
    assert (len(plan.views), len(plan.sheets)) == (1, 0)
    plan = SearchPlanner(replace(SEARCH, everywhere=True)).plan(frame_of(), NOBODY, NOBODY)
    assert len(plan.views) == 2


def test_parts_of_a_fast_video_are_searched_ten_times_a_second() -> None:
    planner = SearchPlanner(SEARCH)
    plans = [planner.plan(frame_of(at=n / 50), None, NOBODY) for n in range(50)]
    assert 9 <= sum(len(plan.views) - 1 for plan in plans) <= 10


def test_a_photograph_is_searched_at_its_own_resolution_at_once() -> None:
    image, _ = crowd(20, (600, 500), (1024, 768))
    detector = Counting()
    (faces,) = FaceSearch(detector, SEARCH).find([Frame.of(image, still=True)], [None], [NOBODY])
    assert found_sure(faces) == 5
    assert detector.inputs <= 1 + SEARCH.close_ups


def test_a_face_in_several_views_is_found_once() -> None:
    image, boxes = crowd(60, (400, 300), (1024, 768))
    people = np.array([person_of(face) for face in boxes], np.float32)
    (faces,) = FaceSearch(Counting(), SEARCH).find([Frame.of(image, still=True)], [people], [boxes])
    assert found_sure(faces) == 5


@pytest.mark.parametrize("close_ups", [0, 1, 2, 5])
def test_the_number_of_close_ups_is_limited(close_ups: int) -> None:
    random = np.random.default_rng(0)
    corners = random.uniform(0, 900, (80, 2))
    people = np.concatenate((corners, corners + np.array([60, 180])), axis=1).astype(np.float32)
    planner = SearchPlanner(replace(SEARCH, close_ups=close_ups))
    for still in (False, True):
        plan = planner.plan(frame_of(still=still), people, people)
        assert len(plan.views) - 1 + len(plan.sheets) <= close_ups


def test_if_there_are_more_people_than_fit_each_has_a_turn() -> None:
    corners = np.array([(x, y) for x in range(0, 1900, 100) for y in range(0, 800, 160)], np.float32)
    people = np.concatenate((corners, corners + np.array([80, 150])), axis=1).astype(np.float32)
    planner, seen = SearchPlanner(replace(SEARCH, close_ups=1)), set[tuple[int, ...]]()
    for n in range(16):
        plan = planner.plan(frame_of(at=n / 10), people, NOBODY)
        seen |= {part.view for sheet in plan.sheets for part in sheet.parts}
    assert len(seen) == len(people)


def test_a_doubtful_face_is_searched_again_on_the_next_frame_of_a_video_and_at_once_in_a_photograph() -> None:
    doubtful = DetectedFaces(
        np.array([[300, 300, 320, 324]], np.float32), np.array([0.4], np.float32), np.zeros((1, 5, 2), np.float32)
    )
    planner = SearchPlanner(SEARCH)
    first = planner.plan(frame_of(), NOBODY, NOBODY)
    assert not planner.again(frame_of(), first, doubtful).sheets
    (sheet,) = planner.plan(frame_of(at=0.1), NOBODY, NOBODY).sheets
    left, top, right, bottom = sheet.parts[0].view
    assert left < 300 < 320 < right
    assert top < 300 < 324 < bottom
    photograph = frame_of(still=True)
    plan = planner.plan(photograph, None, NOBODY)
    assert planner.again(photograph, plan, doubtful).sheets


def test_only_people_are_searched_if_that_is_asked_for() -> None:
    planner = SearchPlanner(replace(SEARCH, only_people=True))
    assert planner.plan(frame_of(), NOBODY, NOBODY) == Plan([], [])
    plan = planner.plan(frame_of(), np.array([[100, 100, 160, 300], [300, 20, 1700, 1080]], np.float32), NOBODY)
    assert len(plan.views) == 1, "the head of the near one is larger than an input"
    assert len(plan.sheets) == 1


@pytest.mark.parametrize("forgotten", [True, False])
def test_faces_of_a_frame_of_another_size_are_not_searched_again(*, forgotten: bool) -> None:
    """A camera's size may change, and the camera be forgotten for it, while its last large frame is searched."""
    planner = SearchPlanner(SEARCH)
    plan = planner.plan(frame_of(), NOBODY, NOBODY)
    if forgotten:
        planner.forget("camera")
        planner.plan(frame_of((960, 540)), NOBODY, NOBODY)  # the next frame may be planned first
    boxes = np.array([[1800, 1000, 1820, 1020]], np.float32)
    planner.again(frame_of(), plan, DetectedFaces(boxes, np.array([0.4], np.float32), np.zeros((1, 5, 2), np.float32)))
    assert not planner.plan(frame_of((960, 540), at=0.1), NOBODY, NOBODY).sheets


def test_the_state_of_a_camera_is_dropped_with_it() -> None:
    planner = SearchPlanner(SEARCH)
    first = planner.plan(frame_of(), None, NOBODY).views[1]
    planner.forget("camera")
    assert planner.plan(frame_of(at=0.1), None, NOBODY).views[1] == first
    assert planner.plan(frame_of(at=0.3), None, NOBODY).views[1] != first
