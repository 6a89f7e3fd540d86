"""Masks and keypoints: what they cover in pixels, their forms in JSON, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray

from sightd.plugins.api import (
    Detections,
    JsonOptions,
    Keypoints,
    Masks,
    OrientedBoxes,
    PrivacyMask,
    Results,
    merged_json,
)

SIZE = (40, 30)
"""Width and height of the frame."""


def masks(crop: object, *box: float, size: tuple[int, int] = SIZE) -> Masks:
    return Masks(np.array([box], np.float32), (np.array(crop, np.bool_),), size)


def on_frame(of: Masks, row: int = 0) -> NDArray[np.bool_]:
    whole = np.zeros(of.size[::-1], np.bool_)
    drawn = of.drawn(row)
    if drawn is not None:
        height, width = drawn.inside.shape
        whole[drawn.top : drawn.top + height, drawn.left : drawn.left + width] = drawn.inside
    return whole


def decoded(counts: str, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Reads COCO's compressed run lengths, written from the description of the format."""
    runs: list[int] = []
    number, shift = 0, 0
    for char in counts:
        bits = ord(char) - 48
        number |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                number -= 1 << shift
            runs.append(number + (runs[-2] if len(runs) > 2 else 0))
            number = shift = 0
    width, height = size
    values = [index % 2 for index, run in enumerate(runs) for _ in range(run)]
    return np.array(values, np.bool_).reshape(width, height).T


def test_a_full_mask_covers_the_pixels_whose_centre_is_in_its_box() -> None:
    found = on_frame(masks([[1]], 3.4, 2.6, 10.5, 7.4))
    expected = np.zeros(SIZE[::-1], np.bool_)
    expected[3:7, 3:10] = True
    np.testing.assert_array_equal(found, expected)


def test_a_mask_is_stretched_over_its_box() -> None:
    found = on_frame(masks([[1, 0], [0, 1]], 0, 0, 20, 10))
    assert found[2, 4]
    assert found[7, 14]
    assert not found[2, 14]
    assert not found[7, 4]


def test_a_box_that_leaves_the_frame_is_cut_there() -> None:
    found = on_frame(masks([[1, 0], [1, 0]], -10, 20, 10, 40))
    assert found.sum() == 0
    found = on_frame(masks([[0, 1], [0, 1]], -10, 20, 10, 40))
    assert found[20:, :10].all()
    assert found.sum() == 100


@pytest.mark.parametrize("box", [(50, 50, 60, 60), (float("nan"), 0, 1, 1), (5, 5, 5, 9)])
def test_what_is_not_on_the_frame_is_not_drawn(box: tuple[float, ...]) -> None:
    assert masks([[1]], *box).drawn(0) is None


def test_a_mask_at_half_the_size_covers_a_quarter_of_the_pixels() -> None:
    drawn = masks([[1]], 10, 10, 30, 20).drawn(0, 0.5)
    assert drawn is not None
    assert (drawn.left, drawn.top, drawn.inside.shape) == (5, 5, (5, 10))


def test_run_lengths_are_those_of_coco() -> None:
    """The string is that of pycocotools 2.0.11 for the same mask."""
    one = masks([[1]], 1, 1, 3, 3, size=(4, 4))
    assert one.rle(0) == "52203"


@pytest.mark.parametrize("box", [(0, 0, 40, 30), (-5, 3, 17, 29.6), (12, 0, 40, 8), (39, 29, 40, 30)])
def test_run_lengths_decode_to_the_mask(box: tuple[float, ...]) -> None:
    crop = np.random.default_rng(3).random((9, 7)) > 0.4
    one = masks(crop, *box)
    np.testing.assert_array_equal(decoded(one.rle(0), SIZE), on_frame(one))


def test_a_mask_without_pixels_is_one_run() -> None:
    assert decoded(masks([[0]], 3, 3, 9, 9).rle(0), SIZE).sum() == 0


def test_masks_are_immutable() -> None:
    crop = np.ones((2, 2), np.bool_)
    with pytest.raises(ValueError, match="read-only"):
        masks(crop, 0, 0, 4, 4).crops[0][0, 0] = False


@pytest.mark.parametrize("crop", [np.zeros((2, 161), np.bool_), np.zeros((2, 2), np.uint8), np.zeros(3, np.bool_)])
def test_other_masks_are_refused(crop: NDArray[np.bool_]) -> None:
    with pytest.raises(ValueError, match=r"Masks\.crops has"):
        Masks(np.zeros((1, 4), np.float32), (crop,), SIZE)


def test_a_mask_for_every_box_is_required() -> None:
    with pytest.raises(ValueError, match=r"expected \[1, 4\]"):
        Masks(np.zeros((2, 4), np.float32), (np.zeros((1, 1), np.bool_),), SIZE)


def test_keypoints_move_and_stretch_with_the_box() -> None:
    points = np.array([[[10, 10], [20, 30]]], np.float32)
    known = Keypoints(points, np.ones((1, 2), np.float32), ("head", "foot"), ((0, 1),))
    before, after = np.array([[10, 10, 20, 30]], np.float32), np.array([[0, 50, 5, 90]], np.float32)
    np.testing.assert_allclose(known.moved(before, after).points, [[[0, 50], [5, 90]]])


def test_other_keypoints_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \[n, 2, 2\] and \[n, 2\]"):
        Keypoints(np.zeros((1, 3, 2), np.float32), np.zeros((1, 3), np.float32), ("a", "b"))
    with pytest.raises(ValueError, match="none of the 1"):
        Keypoints(np.zeros((1, 1, 2), np.float32), np.zeros((1, 1), np.float32), ("a",), ((0, 1),))


def test_oriented_boxes_move_and_stretch_with_the_box_around_them() -> None:
    corners = np.array([[[10, 20], [20, 10], [30, 20], [20, 30]]], np.float32)
    before, after = np.array([[10, 10, 30, 30]], np.float32), np.array([[0, 50, 40, 60]], np.float32)
    moved = OrientedBoxes(corners).moved(before, after)
    np.testing.assert_allclose(moved.corners, [[[0, 55], [20, 50], [40, 55], [20, 60]]])
    assert OrientedBoxes.upright(before).corners.tolist() == [[[10, 10], [30, 10], [30, 30], [10, 30]]]


def test_other_oriented_boxes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \[n, 4, 2\]"):
        OrientedBoxes(np.zeros((1, 5), np.float32))


def test_the_json_form_has_the_corners_of_oriented_boxes() -> None:
    boxes = np.array([[1, 1, 3, 3]], np.float32)
    found = Detections(boxes, np.ones(1, np.float32), np.array([0]), ("ship",))
    form, problems = merged_json(Results(found, OrientedBoxes.upright(boxes)), JsonOptions())
    assert problems == ()
    (one,) = json.loads(json.dumps(form))["detections"]
    assert one["corners"] == [[1, 1], [3, 1], [3, 3], [1, 3]]


def test_the_json_form_has_masks_and_keypoints_in_each_detection() -> None:
    boxes = np.array([[1, 1, 3, 3], [0, 0, 2, 2]], np.float32)
    found = Detections(boxes, np.array([0.9, 0.8], np.float32), np.array([0, 0]), ("person",))
    shapes = Masks(boxes, (np.ones((1, 1), np.bool_), np.zeros((0, 0), np.bool_)), (4, 4))
    points = Keypoints(np.ones((2, 1, 2), np.float32), np.full((2, 1), 0.5, np.float32), ("nose",))
    form, problems = merged_json(Results(found, shapes, points), JsonOptions())
    assert problems == ()
    one, other = json.loads(json.dumps(form))["detections"]
    assert (one["mask"], one["keypoints"]) == ({"size": [4, 4], "counts": "52203"}, [[1, 1, 0.5]])
    assert other["mask"] is None
    assert (form["keypoint_names"], form["skeleton"]) == (["nose"], [])


def test_redacted_regions_of_two_plugins_keep_their_masks() -> None:
    crop = np.ones((1, 1), np.bool_)
    one = Results(PrivacyMask(np.array([[0, 0, 1, 1]], np.float32), (crop,)))
    both = one.merged(Results(PrivacyMask(np.array([[2, 2, 3, 3]], np.float32)))).get(PrivacyMask)
    assert both is not None
    assert both.crops == (crop, None)
    assert len(both.boxes) == 2


def test_masks_go_when_another_plug_in_replaces_the_detections() -> None:
    boxes = np.array([[1, 1, 3, 3]], np.float32)
    found = Detections(boxes, np.ones(1, np.float32), np.array([0]), ("person",))
    points = Keypoints(np.ones((1, 1, 2), np.float32), np.ones((1, 1), np.float32), ("nose",))
    first = Results(found, Masks(boxes, (np.ones((1, 1), np.bool_),), (4, 4)), points, OrientedBoxes.upright(boxes))
    later = first.merged(Results(Detections.none()))
    assert Masks not in later
    assert Keypoints not in later
    assert OrientedBoxes not in later
    assert Masks in first.merged(Results(PrivacyMask(boxes)))
