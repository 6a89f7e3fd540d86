"""Quality decreases with everything that makes faces hard to recognise."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from sightd.plugins.api import FloatArray, Frame, Image
from sightd.plugins.face.detector import HostFaceDetector, Plan, Search
from sightd.plugins.face.embedder import aligned
from sightd.plugins.face.matching.matcher import Quality
from sightd.plugins.face.quality import frontality_of, quality_of
from sightd.plugins.face.upright import UprightFaces
from tests.support.faces import engine, photo

PHOTOS = ["multi_face.jpg", "single_face.jpg", "astronaut.png"]


def quality(image: Image) -> Quality:
    found = HostFaceDetector(engine("yunet"), Search(min_size=0)).find([of := Frame.of(image)], [Plan.whole(of)])[0]
    assert len(found)
    crops = np.stack([aligned(image, points) for points in found.landmarks])
    return quality_of(crops, upright_faces(found.landmarks, found.scores))


def upright_faces(landmarks: FloatArray, scores: FloatArray) -> UprightFaces:
    return UprightFaces(landmarks, scores, np.ones(len(scores), np.bool_))


@pytest.mark.parametrize("name", PHOTOS)
def test_good_photographs_are_good(name: str) -> None:
    assert quality(photo(name).copy()).totals.min() > 0.9


def blurred(sigma: float) -> Callable[[Image], Image]:
    return lambda image: np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def shrunk(factor: float) -> Callable[[Image], Image]:
    return lambda image: np.asarray(cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA))


@pytest.mark.parametrize("worse", [[blurred(5), blurred(7), blurred(10)], [shrunk(0.15), shrunk(0.12), shrunk(0.09)]])
def test_blur_and_smallness_lower_it_step_by_step(worse: list[Callable[[Image], Image]]) -> None:
    image = photo("single_face.jpg").copy()
    found = [float(quality(step(image)).totals[0]) for step in worse]
    assert sorted(found, reverse=True) == found
    assert found[-1] < 0.5


def test_light_and_contrast_do_not_matter() -> None:
    image = photo("astronaut.png").copy()
    dim = cv2.convertScaleAbs(image, alpha=0.5, beta=20)
    assert float(quality(np.asarray(dim)).sharpness[0]) == pytest.approx(float(quality(image).sharpness[0]), abs=0.1)


def head(yaw: float, pitch: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Returns five landmarks of a head in px, rotated by angles in degrees: eyes and mouth in a plane, the nose
    ahead."""
    points = np.array([[-32, -35, 0], [32, -35, 0], [0, 5, 38], [-25, 38, 4], [25, 38, 4]], float)
    a, b = np.radians(yaw), np.radians(pitch)
    turn = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    nod = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return np.asarray((points @ turn.T @ nod.T)[None, :, :2] + 200, np.float32)


def test_a_turned_head_is_less_fit_the_more_it_is_turned() -> None:
    turned = [float(frontality_of(head(yaw, 0))[0]) for yaw in (0, 20, 40, 60, 85)]
    assert turned[0] > 0.95
    assert sorted(turned, reverse=True) == turned
    assert turned[1] > 0.3
    assert turned[-1] < 0.05
    assert frontality_of(head(-30, 0))[0] == pytest.approx(frontality_of(head(30, 0))[0], abs=0.02)


def test_a_nodding_head_likewise() -> None:
    nodding = [float(frontality_of(head(0, pitch))[0]) for pitch in (0, 25, 50)]
    assert sorted(nodding, reverse=True) == nodding
    assert nodding[-1] < 0.5


def test_a_head_on_its_side_is_no_worse() -> None:
    points = head(10, 5)
    quarter = np.array([[0, -1], [1, 0]], np.float32)
    assert frontality_of(points @ quarter)[0] == pytest.approx(frontality_of(points)[0], abs=1e-3)


def test_a_picture_without_contrast_is_not_sharp() -> None:
    flat = np.full((1, 112, 112, 3), 128, np.uint8)
    assert quality_of(flat, upright_faces(head(0, 0), np.array([0.9], np.float32))).totals[0] == 0


def test_a_face_of_which_it_is_open_which_way_up_it_is_has_no_quality() -> None:
    image = photo("astronaut.png").copy()
    found = HostFaceDetector(engine("yunet"), Search()).find([of := Frame.of(image)], [Plan.whole(of)])[0]
    crops = np.stack([aligned(image, points) for points in found.landmarks])
    open_ = UprightFaces(found.landmarks, found.scores, np.zeros(1, np.bool_))
    assert quality_of(crops, open_).totals[0] == 0


def test_no_face_has_no_quality() -> None:
    nothing = upright_faces(np.zeros((0, 5, 2), np.float32), np.zeros(0, np.float32))
    none = quality_of(np.zeros((0, 112, 112, 3), np.uint8), nothing)
    assert len(none.totals) == 0
