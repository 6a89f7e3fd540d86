"""The decoder of YOLOX-shaped models, compared with loops over the cells of each grid."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sightd.engines.model import ColourOrder, InputSpec, Resize
from sightd.plugins.api import FloatArray, PluginError
from sightd.plugins.detector.heads import yolox

SPEC = InputSpec("images", 96, 64, ColourOrder.BGR, Resize.LETTERBOX_TOP_LEFT)
CELLS = 12 * 8 + 6 * 4 + 3 * 2
LEAST = np.array([0.3, 0.5], np.float32)

Found = list[tuple[list[float], float, int]]


def output(seed: int = 0, cells: int = CELLS) -> FloatArray:
    random = np.random.default_rng(seed)
    raw = random.random((2, cells, 7), np.float32)
    raw[..., :4] = random.normal(0, 1, (2, cells, 4))
    return raw


def by_loops(raw: FloatArray, strides: tuple[int, ...]) -> Found:
    found: Found = []
    row = 0
    for stride in strides:
        for gy in range(math.ceil(SPEC.height / stride)):
            for gx in range(math.ceil(SPEC.width / stride)):
                x, y, w, h, objectness, *classes = (float(value) for value in raw[row])
                cx, cy = (x + gx) * stride, (y + gy) * stride
                w, h = math.exp(w) * stride, math.exp(h) * stride
                box = [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]
                found += [
                    (box, objectness * score, c) for c, score in enumerate(classes) if objectness * score >= LEAST[c]
                ]
                row += 1
    return found


@pytest.mark.parametrize("seed", range(5))
def test_centres_count_from_the_cell_and_sizes_are_exponents_both_in_strides(seed: int) -> None:
    raw = output(seed)
    before = raw.copy()
    found = yolox.decode({"output": raw}, SPEC, LEAST)
    assert len(found) == 2
    for picture, candidates in enumerate(found):
        expected = by_loops(raw[picture], (8, 16, 32))
        assert len(expected) > 10
        assert candidates.class_ids.tolist() == [c for _, _, c in expected]
        np.testing.assert_allclose(candidates.scores, [score for _, score, _ in expected], rtol=1e-5)
        np.testing.assert_allclose(candidates.boxes, [box for box, _, _ in expected], rtol=1e-4, atol=1e-3)
        assert candidates.boxes.dtype == candidates.scores.dtype == np.float32
    np.testing.assert_array_equal(raw, before)


def test_a_fourth_grid_is_reported_by_the_number_of_rows() -> None:
    raw = output(cells=CELLS + 2 * 1)
    expected = by_loops(raw[0], (8, 16, 32, 64))
    candidates = yolox.decode({"output": raw}, SPEC, LEAST)[0]
    np.testing.assert_allclose(candidates.boxes, [box for box, _, _ in expected], rtol=1e-4, atol=1e-3)


def test_a_file_with_decoded_boxes_has_its_own_head() -> None:
    raw = np.array([[[50, 40, 20, 10, 0.9, 0.1, 0.8]]], np.float32)
    (candidates,) = yolox.decode_decoded({"output": raw}, SPEC, LEAST)
    assert candidates.boxes.tolist() == [[40, 35, 60, 45]]
    assert candidates.class_ids.tolist() == [1]
    assert candidates.scores == pytest.approx([0.72])


@pytest.mark.parametrize(
    ("shapes", "complaint"),
    [
        ({"output": (1, CELLS, 9)}, "scores 4 classes, but there are 2 labels"),
        ({"output": (1, CELLS + 1, 7)}, "produces 127 rows.*126 at strides 8/16/32 or 128 at strides 8/16/32/64"),
        (
            {"boxes": (1, 9, 4), "scores": (1, 9, 2)},
            r"produces boxes \[1, 9, 4\], scores \[1, 9, 2\]: choose another head",
        ),
        ({"output": (CELLS, 7)}, "choose another head"),
    ],
)
def test_other_outputs_are_refused_with_what_was_found(shapes: dict[str, tuple[int, ...]], complaint: str) -> None:
    with pytest.raises(PluginError, match=complaint):
        yolox.decode({name: np.zeros(shape, np.float32) for name, shape in shapes.items()}, SPEC, LEAST)


def test_a_wild_size_stays_finite() -> None:
    raw = np.full((1, CELLS, 7), 1000, np.float32)
    raw[..., 4:] = 1
    with np.errstate(all="raise"):
        assert np.isfinite(yolox.decode({"output": raw}, SPEC, LEAST)[0].boxes).all()
