"""Masks and skeletons are drawn where the objects are, on the CPU and on a GPU, and can be switched off."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from sightd.daemon.config.model import Render
from sightd.daemon.render.renderer import Renderer
from sightd.daemon.render.theme import colour_of
from sightd.engines.cuda.image import DeviceImage
from sightd.engines.cuda.pipelines.drawing import FrameDrawing
from sightd.plugins.api import BoolArray, Image, Keypoints, Masks, Results, Tracks
from tests.daemon.render.scenes import changed, detections, frame, grey, tracks
from tests.daemon.render.test_gpu_surface import differences, encoded, gpu_and_downloads
from tests.support.device_engine import build_with_kernels
from tests.support.device_pictures import device_frame, device_image, nv12_round_trip
from tests.support.fake_cuda import StandIn, on_stand_in

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


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> StandIn:
    return build_with_kernels(tmp_path_factory.mktemp("stand_in"))


@on_stand_in()
def test_on_a_gpu_they_look_as_on_the_cpu(kernels: bytes) -> None:
    """Except for chroma at edges: the GPU's is the mean of four pixels."""
    down, across = np.mgrid[:80, :50]
    disc = np.asarray(np.hypot(down / 40 - 1, across / 25 - 1) < 1, np.bool_)
    boxes = (BOX, (-40.0, 250.0, 60.0, 400.0), (600.0, 10.0, 700.0, 90.0))
    results = Results(detections(*boxes), masks(*boxes, crop=disc))
    image = nv12_round_trip(grey(*SIZE, 120))
    expected = Renderer("door", BARE).render(frame(image), results, fps=None).picture()
    with gpu_and_downloads() as (gpu, downloads):
        drawing = FrameDrawing(gpu)
        there = device_frame(device_image(gpu.device, grey(*SIZE, 120), downloads), image)
        picture = Renderer("door", BARE, drawing=drawing).render(there, results, fps=None).picture()
        assert isinstance(picture, DeviceImage), "it was drawn on the GPU"
        luma, chroma = differences(encoded(expected), encoded(picture))
        assert luma.max() <= 1
        assert chroma.mean() < 0.7
        drawing.close()
