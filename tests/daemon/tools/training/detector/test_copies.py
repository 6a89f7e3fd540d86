"""Copies of labelled objects in other frames: outlined by the background, boxed, and never on top of another object."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sightd.daemon.tools.label.labelled import Box, LabelledFrame
from sightd.daemon.tools.training.detector.copies import Copies, background, moves
from sightd.plugins.api import Image

WIDTH, HEIGHT, SIDE = 160, 120, 20
WHITE, RED = (255, 255, 255), (0, 0, 200)


def frames(count: int = 6) -> tuple[list[LabelledFrame], list[Image]]:
    """Grey frames; on each a white disc, label 0, at another place, in a box of `SIDE` pixels."""
    made, images = [], []
    for n in range(count):
        image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        x, y = 10 + 22 * n, 40
        rows, columns = np.ogrid[:SIDE, :SIDE]
        inside = (rows - 9.5) ** 2 + (columns - 9.5) ** 2 < 9.5**2
        image[y : y + SIDE, x : x + SIDE][inside] = WHITE
        box = Box(0, (x, y, x + SIDE, y + SIDE))
        made.append(LabelledFrame(Path(f"{n}.png"), WIDTH, HEIGHT, (box,), source="film"))
        images.append(image)
    return made, images


def many(copies: Copies, labelled: list[LabelledFrame], frame: int, count: int = 20) -> list[tuple[Image, np.ndarray]]:
    found = []
    for seed in range(count):
        image, boxes, labels = copies.added(frame, *labelled[frame].arrays(), np.random.default_rng(seed))
        assert len(boxes) == len(labels)
        found.append((image, boxes))
    return found


def test_a_copy_has_the_outline_of_its_object_and_a_box_around_it() -> None:
    labelled, images = frames()
    for image, boxes in many(Copies(labelled, images.__getitem__, mirror=True), labelled, 0):
        bright = (image.astype(int).sum(2) > 3 * 130).astype(np.uint8)
        for x1, y1, x2, y2 in boxes.astype(int):
            assert bright[y1:y2, x1:x2].mean() < 0.9, "the corners show the frame that it was put into"
            assert bright[y1:y2, x1:x2].any()
            bright[y1:y2, x1:x2] = 0
        assert not bright.any(), "all that was added is labelled"


def test_most_frames_get_more_objects_and_the_originals_stay_as_they_are() -> None:
    labelled, images = frames()
    before = [image.copy() for image in images]
    counts = [len(boxes) for _, boxes in many(Copies(labelled, images.__getitem__, mirror=True), labelled, 2)]
    assert np.mean(counts) > 2
    assert max(counts) <= 6
    np.testing.assert_array_equal(images, before)


def test_no_copy_covers_more_than_a_third_of_another_object() -> None:
    labelled, images = frames()
    for _, boxes in many(Copies(labelled, images.__getitem__, mirror=True), labelled, 3):
        for n, box in enumerate(boxes):
            sides = np.minimum(boxes[:n, 2:], box[2:]) - np.maximum(boxes[:n, :2], box[:2])
            smaller = np.minimum((boxes[:n, 2:] - boxes[:n, :2]).prod(1), (box[2:] - box[:2]).prod())
            assert (sides.clip(min=0).prod(1) <= smaller / 3).all()


def test_copies_may_stand_behind_what_moves() -> None:
    labelled, images = frames()
    images[0][30:80, 100:116] = RED
    made = many(Copies(labelled, images.__getitem__, mirror=True), labelled, 0, 60)
    kept = [(image[30:80, 100:116] == RED).all() for image, _ in made]
    crossing = [((boxes[1:, 0] < 112) & (boxes[1:, 2] > 104)).any() for _, boxes in made]
    assert any(k and c for k, c in zip(kept, crossing, strict=True)), "hidden by it"
    assert not all(kept), "or in front of it"


def test_the_same_random_numbers_give_the_same_frame() -> None:
    labelled, images = frames()
    copies = Copies(labelled, images.__getitem__, mirror=True)
    one, same = (many(copies, labelled, 1, 1)[0] for _ in range(2))
    np.testing.assert_array_equal(one[0], same[0])
    np.testing.assert_array_equal(one[1], same[1])


def test_rare_classes_are_copied_as_often_as_common_ones() -> None:
    labelled, images = frames()
    labelled[5] = replace(labelled[5], boxes=(Box(1, labelled[5].boxes[0].xyxy),))
    copies, counts = Copies(labelled, images.__getitem__, mirror=True), np.zeros(2, int)
    for seed in range(40):
        labels = copies.added(0, *labelled[0].arrays(), np.random.default_rng(seed))[2]
        counts += np.bincount(labels[1:], minlength=2)
    assert counts.min() > 0.6 * counts.max()


def test_objects_that_are_cut_off_are_not_copied() -> None:
    labelled, images = frames()
    boxes = tuple(Box(0, xyxy) for xyxy in ((0, 40, 20, 60), (60, 50, 80, 70), (66, 52, 88, 72)))
    cut = [replace(frame, boxes=boxes) for frame in labelled]
    image, found, _ = Copies(cut, images.__getitem__, mirror=True).added(0, *cut[0].arrays(), np.random.default_rng(0))
    assert len(found) == 3
    np.testing.assert_array_equal(image, images[0])


def test_without_a_fixed_camera_the_whole_box_is_copied() -> None:
    labelled, images = frames()
    random = np.random.default_rng(0)
    coarse = [random.integers(0, 160, (HEIGHT // 8, WIDTH // 8, 3)) for _ in images]
    noise = [one.repeat(8, 0).repeat(8, 1).astype(np.uint8) for one in coarse]
    for one, image, frame in zip(noise, images, labelled, strict=True):
        x1, y1, x2, y2 = (int(value) for value in frame.boxes[0].xyxy)
        one[y1:y2, x1:x2] = image[y1:y2, x1:x2]
    assert background(noise) is None
    copies = Copies(labelled, noise.__getitem__, mirror=True)
    image, boxes = next((image, boxes) for image, boxes in many(copies, labelled, 0) if len(boxes) > 1)
    x1, y1, x2, y2 = boxes[1].astype(int)
    inner = image[y1 + 2 : y2 - 2, x1 + 2 : x2 - 2]
    assert np.abs(inner.astype(int) - noise[0][y1 + 2 : y2 - 2, x1 + 2 : x2 - 2]).min(-1).mean() > 15


def test_the_background_of_a_fixed_camera_is_what_does_not_move() -> None:
    _, images = frames()
    back = background(images)
    assert back is not None
    assert (back == 90).all()
    assert moves(images[0], back)[48:52, 18:22].all()
    assert not moves(images[0], back)[:, 40:].any()


@pytest.mark.parametrize(
    "images", [[np.zeros((8, 8, 3), np.uint8)] * 4, [np.zeros((n, 8, 3), np.uint8) for n in range(8, 14)]]
)
def test_too_few_frames_or_other_sizes_have_no_background(images: list[Image]) -> None:
    assert background(images) is None
