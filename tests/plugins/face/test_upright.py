"""A face is rotated upright before recognition: a rotated one gets no more wrong names than an upright one."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from bench.face_quality import masked
from sightd.plugins.api import FloatArray, Frame, Image
from sightd.plugins.face.detector import DetectedFaces, HostFaceDetector, Plan, Search
from sightd.plugins.face.matching.calibration import calibration_of
from sightd.plugins.face.matching.matcher import FaceSamples
from sightd.plugins.face.upright import UPRIGHT_SCORE, upright
from tests.support.faces import analyser, engine, photo

PHOTOS = ("obama.jpg", "obama2.jpg", "obama3.jpg", "biden.jpg", "astronaut.png", "single_face.jpg", "multi_face.jpg")
SAME = {frozenset(("obama.jpg", "obama2.jpg")), frozenset(("obama.jpg", "obama3.jpg")),
        frozenset(("obama2.jpg", "obama3.jpg"))}  # fmt: skip


def turned(image: Image, degrees: float) -> Image:
    """Returns the whole image rotated clockwise, with grey in the empty areas."""
    if degrees % 90 == 0:
        return np.ascontiguousarray(np.rot90(image, -int(degrees // 90)))
    height, width = image.shape[:2]
    way = cv2.getRotationMatrix2D((width / 2, height / 2), -degrees, 1)
    cosine, sine = abs(way[0, 0]), abs(way[0, 1])
    size = int(height * sine + width * cosine), int(height * cosine + width * sine)
    way[:, 2] += np.array(size) / 2 - (width / 2, height / 2)
    return np.asarray(cv2.warpAffine(image, way, size, borderValue=(114, 114, 114)), np.uint8)


def looks(image: Image, *, still: bool = True) -> FaceSamples:
    return analyser().looks([Frame.of(image, still=still)])[0]


def good(name: str, degrees: float) -> list[tuple[str, FloatArray]]:
    """Returns the faces that are good enough, as person and embedding; each member of the group is a separate
    person."""
    seen = looks(turned(photo(name, 900), degrees))
    counted = np.flatnonzero(seen.quality.totals >= 0.5).tolist()
    return [(name if len(seen) == 1 else f"{name} {row}", seen.embeddings[row]) for row in counted]


@pytest.mark.parametrize("name", ["obama.jpg", "obama3.jpg", "biden.jpg", "astronaut.png", "single_face.jpg"])
@pytest.mark.parametrize("degrees", [30, 180])
def test_a_turned_face_is_recognised_as_the_upright_one(name: str, degrees: float) -> None:
    assert len(seen := good(name, degrees)) == 1
    (upright_one,) = good(name, 0)
    assert seen[0][1] @ upright_one[1] > 0.7


@pytest.mark.parametrize("degrees", [30, 45, 60, 90, 135, 180, 225, 270, 315])
def test_turned_faces_of_different_people_are_no_more_alike_than_upright_ones(degrees: float) -> None:
    """Compared with upright faces and with each other, as if a rotated one were enrolled."""
    table = calibration_of("sface")
    assert table is not None
    asked = table.threshold(1e-3, 1, 1)
    upright_faces = [one for name in PHOTOS for one in good(name, 0)]
    probes = [one for name in PHOTOS for one in good(name, degrees)]
    false = [
        (mine, theirs, float(one @ other))
        for mine, one in probes
        for theirs, other in (*upright_faces, *probes)
        if mine.split()[0] != theirs.split()[0]
        and frozenset((mine, theirs)) not in SAME
        and float(one @ other) >= asked
    ]
    assert not false


def test_the_landmarks_lie_on_eyes_nose_and_mouth_of_a_face_upside_down() -> None:
    image = photo("astronaut.png").copy()
    (before,), (after,) = looks(image).landmarks, looks(turned(image, 180)).landmarks
    height, width = image.shape[:2]
    np.testing.assert_allclose((width - 1, height - 1) - after, before, atol=9)


def found_by(face_detector: HostFaceDetector, image: Image) -> DetectedFaces:
    return face_detector.find([of := Frame.of(image)], [Plan.whole(of)])[0]


class Counting(HostFaceDetector):
    """Counts the images that are searched again."""

    images = 0

    def find_within(self, images: Sequence[Image]) -> list[DetectedFaces]:
        self.images += len(images)
        return super().find_within(images)


def test_a_face_of_a_video_that_is_surely_upright_costs_nothing() -> None:
    face_detector, image = Counting(engine("yunet"), Search()), photo("single_face.jpg").copy()
    found = found_by(face_detector, image)
    assert found.scores[0] >= UPRIGHT_SCORE
    same = upright(face_detector, Frame.of(image), found, [True])
    assert face_detector.images == 0
    np.testing.assert_array_equal(same.landmarks, found.landmarks)
    assert same.known.all()
    upright(face_detector, Frame.of(image, still=True), found, [True])
    assert face_detector.images == 1, "a photo gives only one look, which must be right"


def test_a_face_that_nobody_asks_for_costs_nothing() -> None:
    face_detector, image = Counting(engine("yunet"), Search()), turned(photo("single_face.jpg"), 180)
    found = found_by(face_detector, image)
    upright(face_detector, Frame.of(image), found, [False])
    assert face_detector.images == 0
    upright(face_detector, Frame.of(image), found, [True])
    assert face_detector.images == 2


def test_options_that_leave_out_small_and_doubtful_faces_do_not_matter() -> None:
    image = turned(photo("single_face.jpg"), 180)
    found = found_by(HostFaceDetector(engine("yunet"), Search()), image)
    strict = HostFaceDetector(engine("yunet"), Search(min_score=0.99, min_size=500, tiles=3))
    up = upright(strict, Frame.of(image), found, [True])
    assert up.known.all()
    assert up.scores[0] > 0.9
    assert up.landmarks[0, 0, 1] > up.landmarks[0, 3, 1], "the eyes are below the mouth"


def test_of_what_looks_like_a_face_from_all_sides_nothing_is_known() -> None:
    face = photo("single_face.jpg").copy()
    found = found_by(HostFaceDetector(engine("yunet"), Search()), face)

    class AnyWay(HostFaceDetector):
        def find_within(self, images: Sequence[Image]) -> list[DetectedFaces]:
            of_all = super().find_within(images)
            return [DetectedFaces(one.boxes, np.full_like(one.scores, 0.8), one.landmarks) for one in of_all]

    up = upright(AnyWay(engine("yunet"), Search()), Frame.of(face, still=True), found, [True])
    assert not up.known.any()


def test_a_face_in_a_mask_is_taken_as_it_was_found() -> None:
    """In small crops it is lost, and nothing speaks for another rotation; upside down, the rotations show it."""
    face = photo("single_face.jpg").copy()
    (landmarks,) = looks(face).landmarks
    covered = masked((30, 30, 30))(face, landmarks)
    found = found_by(HostFaceDetector(engine("yunet"), Search()), covered)

    class Lost(HostFaceDetector):
        def find_within(self, images: Sequence[Image]) -> list[DetectedFaces]:
            return [DetectedFaces.none() for _ in images]

    frame = Frame.of(covered, still=True)
    up = upright(Lost(engine("yunet"), Search()), frame, found, [True])
    assert up.known.all()
    np.testing.assert_array_equal(up.landmarks, found.landmarks)
    doubtful = DetectedFaces(found.boxes, np.full(1, 0.7, np.float32), found.landmarks)
    assert not upright(Lost(engine("yunet"), Search()), frame, doubtful, [True]).known.any()


def test_a_frame_without_faces_has_none() -> None:
    up = upright(HostFaceDetector(engine("yunet"), Search()), Frame.of(photo("coffee.png")), DetectedFaces.none(), [])
    assert up.landmarks.shape == (0, 5, 2)
