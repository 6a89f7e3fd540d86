"""Masks and skeletons are drawn where the objects are, on the CPU and on a GPU, and can be switched off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sightd.daemon.config.model import Render
from sightd.daemon.render.renderer import Renderer
from sightd.daemon.render.theme import colour_of
from sightd.engines.cuda.image import DeviceImage
from sightd.engines.cuda.pipelines.drawing import FrameDrawing
from sightd.plugins.api import BoolArray, Image, Keypoints, Masks, OrientedBoxes, Results, Tracks
from tests.daemon.render.scenes import changed, detections, frame, grey, tracks
from tests.daemon.render.test_gpu_surface import encoded, gpu_and_downloads
from tests.support.device_pictures import device_frame, device_image, nv12_round_trip
from tests.support.fake_cuda import on_stand_in

Array = NDArray[Any]
BARE = Render(boxes=False, labels=False, scores=False, ids=False, trails=False, status=False)
BOX = (200.0, 100.0, 300.0, 300.0)
SIZE = (640, 360)
LEFT_HALF: BoolArray = np.array([[True, False]])


def masks(*boxes: Sequence[float], crop: BoolArray = LEFT_HALF) -> Masks:
    return Masks(np.array(boxes, np.float32), (crop.copy(),) * len(boxes), SIZE)


def person(*points: tuple[float, float], scores: Sequence[float] | None = None) -> Keypoints:
    pairs = tuple((index, index + 1) for index in range(len(points) - 1))
    sure = np.ones((1, len(points)), np.float32) if scores is None else np.array([scores], np.float32)
    names = tuple(f"point {index}" for index in range(len(points)))
    return Keypoints(np.array([points], np.float32), sure, names, pairs)


def drawn(results: Results, options: Render = BARE, max_height: int | None = None) -> Image:
    return Renderer("door", options, max_height).render(frame(grey()), results, fps=None).image.copy()


def test_the_area_of_a_mask_is_translucent_and_its_outline_has_the_colour_of_the_object() -> None:
    image = drawn(Results(detections(BOX), masks(BOX)))
    assert changed(grey(), image) == (200, 100, 250, 300)
    np.testing.assert_allclose(image[200, 225], np.array(colour_of(0)) * 90 / 255 + 90 * 165 / 255, atol=1.5)
    for y, x in ((200, 200), (200, 249), (100, 220), (299, 220)):
        assert tuple(image[y, x]) == colour_of(0)


def test_masks_are_drawn_at_the_scale_of_the_output() -> None:
    image = drawn(Results(detections(BOX), masks(BOX)), max_height=180)
    assert changed(grey(320, 180), image) == (100, 50, 125, 150)


def test_the_mask_of_a_detection_that_is_not_shown_is_not_either() -> None:
    assert changed(grey(), drawn(Results(detections(BOX, scores=[0.3]), masks(BOX)))) is None


def test_an_object_without_a_mask_has_none_drawn() -> None:
    assert changed(grey(), drawn(Results(detections(BOX), masks(BOX, crop=np.zeros((0, 0), np.bool_))))) is None


def shaped(of: Tracks, shapes: Masks | None, points: Keypoints | None = None) -> Tracks:
    columns = (of.boxes, of.scores, of.class_ids, of.ids, of.ages, of.velocities, of.detection, of.labels)
    return Tracks(*columns, shapes, points)


def test_a_track_has_the_mask_at_its_own_place() -> None:
    moved = (300.0, 100.0, 400.0, 300.0)
    found = Results(detections(BOX), masks(BOX), shaped(tracks(moved, predicted=True), masks(moved)))
    assert changed(grey(), drawn(found)) == (300, 100, 350, 300)


def test_a_skeleton_joins_the_points_that_are_visible() -> None:
    image = drawn(Results(detections(BOX), person((220, 120), (220, 200), (280, 200))))
    assert tuple(image[160, 220]) == colour_of(0)
    assert tuple(image[200, 250]) == colour_of(0)
    assert tuple(image[120, 220]) == (255, 255, 255), "a joint is white inside"


def test_points_that_are_not_visible_are_left_out_with_their_lines() -> None:
    image = drawn(Results(detections(BOX), person((220, 120), (220, 200), (280, 200), scores=[0.9, 0.9, 0.2])))
    assert tuple(image[160, 220]) == colour_of(0)
    assert tuple(image[200, 250]) == (90, 90, 90)
    assert tuple(image[200, 280]) == (90, 90, 90)


@pytest.mark.parametrize("far", [1e9, -1e30, float("nan"), float("inf")])
def test_a_point_anywhere_does_no_harm(far: float) -> None:
    image = drawn(Results(detections(BOX), person((220, 120), (far, 200), (220, 300))))
    assert changed(grey(), image) is not None


@pytest.mark.parametrize("option", ["masks", "keypoints"])
def test_each_can_be_switched_off(option: str) -> None:
    results = Results(detections(BOX), masks(BOX) if option == "masks" else person((220, 120), (220, 200)))
    assert changed(grey(), drawn(results)) is not None
    assert changed(grey(), drawn(results, BARE.model_copy(update={option: False}))) is None
    boxed = Results(shaped(tracks(BOX), masks(BOX), person((220, 120), (220, 200))))
    off = BARE.model_copy(update={"masks": False, "keypoints": False})
    assert changed(grey(), drawn(boxed, off)) is None


def diamond(box: Sequence[float]) -> OrientedBoxes:
    """Returns the middles of a box's sides as corners."""
    x1, y1, x2, y2 = box
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    return OrientedBoxes(np.array([[(x, y1), (x2, y), (x, y2), (x1, y)]], np.float32))


BOXES = BARE.model_copy(update={"boxes": True})


def test_an_oriented_box_is_drawn_instead_of_the_upright_one_around_it() -> None:
    image = drawn(Results(detections(BOX), diamond(BOX)), BOXES)
    for y, x in ((150, 225), (250, 275)):
        np.testing.assert_allclose(image[y, x], colour_of(0), atol=25, err_msg="the middles of its sides")
    for y, x in ((100, 205), (299, 205), (200, 250)):
        assert tuple(image[y, x]) == (90, 90, 90), "the upright box's corners, and inside"
    assert changed(grey(), drawn(Results(detections(BOX), diamond(BOX)))) is None, "boxes are switched off"
    assert changed(grey(), drawn(Results(detections(BOX, scores=[0.3]), diamond(BOX)), BOXES)) is None


def test_the_oriented_box_of_a_track_is_drawn_at_its_place_and_with_its_label() -> None:
    moved = (300.0, 100.0, 400.0, 300.0)
    found = replace(tracks(moved, predicted=True), oriented=diamond(moved))
    image = drawn(Results(detections(BOX), diamond(BOX), found), BOXES.model_copy(update={"labels": True}))
    np.testing.assert_allclose(image[150, 325], colour_of(0), atol=25)
    assert tuple(image[150, 225]) == (90, 90, 90)
    left, top, _, _ = changed(grey(), image) or (0, 0, 0, 0)
    assert abs(left - 300) <= 2
    assert top < 95, "the label is above it"


@pytest.mark.parametrize("far", [1e9, -1e30, float("nan"), float("inf")])
def test_an_oriented_box_that_reaches_anywhere_is_left_out(far: float) -> None:
    corners = diamond(BOX).corners.copy()
    corners[0, 1, 0] = far
    assert changed(grey(), drawn(Results(detections(BOX), OrientedBoxes(corners)), BOXES)) is None


@on_stand_in()
def test_on_a_gpu_they_look_as_on_the_cpu(kernels: bytes) -> None:
    """Except for chroma at edges: the GPU's is the mean of four pixels."""
    down, across = np.mgrid[:80, :50]
    disc = np.asarray(np.hypot(down / 40 - 1, across / 25 - 1) < 1, np.bool_)
    boxes = (BOX, (-40.0, 250.0, 60.0, 400.0), (600.0, 10.0, 700.0, 90.0))
    luma, chroma = by_both(Results(detections(*boxes), masks(*boxes, crop=disc)))
    assert np.abs(luma[0] - luma[1]).max() <= 1
    assert np.abs(chroma[0] - chroma[1]).mean() < 0.7


def by_both(results: Results, options: Render = BARE) -> tuple[list[Array], list[Array]]:
    """Draws results on grey 120, on the CPU and on a GPU. Returns the luma of both, and the chroma."""
    image = nv12_round_trip(grey(*SIZE, 120))
    expected = Renderer("door", options).render(frame(image), results, fps=None).picture()
    with gpu_and_downloads() as (gpu, downloads):
        drawing = FrameDrawing(gpu)
        there = device_frame(device_image(gpu.device, grey(*SIZE, 120), downloads), image)
        picture = Renderer("door", options, drawing=drawing).render(there, results, fps=None).picture()
        assert isinstance(picture, DeviceImage), "it was drawn on the GPU"
        planes = [encoded(one).astype(int) for one in (expected, picture)]
        drawing.close()
    rows = len(planes[0]) * 2 // 3
    return [one[:rows] for one in planes], [one[rows:] for one in planes]


def assert_same_lines(luma: list[Array]) -> None:
    """Smoothed edges differ by some levels, but lines have the same width, place and colour."""
    on_cpu, on_gpu = (np.abs(one - one[0, 0]) for one in luma)
    assert np.sum(on_cpu > 8) > 500
    assert np.sum(on_gpu > 8) == pytest.approx(np.sum(on_cpu > 8), rel=0.05)
    for one, other in ((on_cpu, on_gpu), (on_gpu, on_cpu)):
        around = cv2.dilate((other > 4).astype(np.uint8), np.ones((3, 3)))
        assert np.all(around[one > 12])
    assert on_gpu.mean() == pytest.approx(on_cpu.mean(), rel=0.05)
    assert np.abs(on_cpu - on_gpu).mean() < 0.15 * on_cpu.mean()


@on_stand_in()
def test_skeletons_on_a_gpu_look_as_on_the_cpu(kernels: bytes) -> None:
    joints = (220.0, 120.0), (240.5, 200.25), (300.0, 210.0), (310.0, 330.0), (660.0, 350.0), (50.0, 50.0)
    luma, _ = by_both(Results(detections(BOX), person(*joints, scores=[0.9, 0.8, 0.9, 0.6, 0.7, 0.3])))
    assert_same_lines(luma)
    for x, y in joints[:3]:
        one, other = (plane[round(y) - 1 : round(y) + 1, round(x) - 1 : round(x) + 1] for plane in luma)
        np.testing.assert_allclose(one, other, atol=1)


@on_stand_in()
def test_oriented_boxes_on_a_gpu_look_as_on_the_cpu(kernels: bytes) -> None:
    boxes = (BOX, (-40.0, 250.0, 60.0, 400.0), (400.0, 40.0, 640.0, 90.0))
    turned = OrientedBoxes(np.concatenate([diamond(box).corners for box in boxes]))
    luma, _ = by_both(Results(detections(*boxes), turned), BOXES)
    assert_same_lines(luma)
