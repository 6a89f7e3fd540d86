"""`bench.face_search` counts found faces and false ones, and judges close-ups by the faces of 20 to 40 pixels."""

from __future__ import annotations

import numpy as np
import pytest

from bench.face_search import Figure, gain, matched, scenes

pytestmark = pytest.mark.computing


def boxes(*of: tuple[int, int, int, int]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.array(of, np.float32).reshape(-1, 4)


def test_a_face_is_found_where_a_box_covers_it_and_other_boxes_are_false() -> None:
    truth = boxes((0, 0, 10, 10), (50, 50, 60, 60))
    assert matched(boxes((1, 0, 11, 10), (200, 200, 210, 210)), truth) == (1, 1)
    assert matched(boxes(), truth) == (0, 0)


def test_faces_have_the_size_that_is_asked_for_and_do_not_cover_each_other() -> None:
    portrait = np.full((200, 100, 3), 200, np.uint8)
    background = np.zeros((90, 160, 3), np.uint8)
    (scene,) = scenes([(portrait, boxes((30, 40, 70, 90)))] * 3, [background], 20, (640, 360))
    assert scene.image.shape == (360, 640, 3)
    assert len(scene.boxes) == 3
    assert (scene.boxes[:, 3] - scene.boxes[:, 1]).tolist() == pytest.approx([20] * 3)


def test_the_gain_compares_faces_of_20_to_40_pixels() -> None:
    figures = [
        Figure("video", way, size, 10, found, 0, 1, 0.0)
        for way, counts in (("frame", (0, 2, 9)), ("close-ups", (9, 8, 9)))
        for size, found in zip((10, 28, 80), counts, strict=True)
    ]
    assert gain(figures, "video") == 4
