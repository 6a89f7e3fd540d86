"""The decoder of NanoDet-shaped models, compared with loops over the cells of each grid."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sightd.engines.model import ColourOrder, InputSpec, Resize
from sightd.plugins.api import FloatArray, PluginError
from sightd.plugins.detector.heads import nanodet
from sightd.plugins.detector.heads.decoding import Candidates

SPEC = InputSpec("images", 96, 64, ColourOrder.BGR, Resize.STRETCH)
LEAST = np.array([0.6, 0.8], np.float32)
BINS = 8

Found = list[tuple[list[float], float, int]]


def cells(*strides: int) -> int:
    return sum(math.ceil(96 / stride) * math.ceil(64 / stride) for stride in strides)


def output(*strides: int, seed: int = 0) -> FloatArray:
    random = np.random.default_rng(seed)
    scores = random.random((2, cells(*strides), 2))
    return np.concatenate((scores, random.normal(0, 3, (2, cells(*strides), 4 * BINS))), axis=2, dtype=np.float32)


def expectation(logits: list[float]) -> float:
    weights = [math.exp(value) for value in logits]
    return sum(i * weight for i, weight in enumerate(weights)) / sum(weights)


def by_loops(raw: FloatArray, strides: tuple[int, ...], shift: float) -> Found:
    found: Found = []
    row = 0
    for stride in strides:
        for gy in range(math.ceil(64 / stride)):
            for gx in range(math.ceil(96 / stride)):
                px, py = (gx + shift) * stride, (gy + shift) * stride
                left, top, right, bottom = (
                    stride * expectation(raw[row, 2 + side * BINS : 2 + (side + 1) * BINS].tolist())
                    for side in range(4)
                )
                box = [max(px - left, 0), max(py - top, 0), min(px + right, 96), min(py + bottom, 64)]
                found += [(box, float(raw[row, c]), c) for c in range(2) if raw[row, c] >= LEAST[c]]
                row += 1
    return found


def assert_same(candidates: Candidates, expected: Found) -> None:
    assert len(expected) > 10
    assert candidates.class_ids.tolist() == [c for _, _, c in expected]
    assert candidates.scores.tolist() == [score for _, score, _ in expected]
    np.testing.assert_allclose(candidates.boxes, [box for box, _, _ in expected], rtol=1e-4, atol=1e-3)
    assert candidates.boxes.dtype == np.float32


@pytest.mark.parametrize("seed", range(3))
def test_nanodet_plus_measures_from_the_corner_of_a_cell(seed: int) -> None:
    raw = output(8, 16, 32, 64, seed=seed)
    for picture, candidates in enumerate(nanodet.decode({"output": raw}, SPEC, LEAST)):
        assert_same(candidates, by_loops(raw[picture], (8, 16, 32, 64), shift=0.0))


@pytest.mark.parametrize("seed", range(3))
def test_nanodet_of_three_grids_measures_from_the_centre_of_a_cell(seed: int) -> None:
    raw = output(8, 16, 32, seed=seed)
    for picture, candidates in enumerate(nanodet.decode({"output": raw}, SPEC, LEAST)):
        assert_same(candidates, by_loops(raw[picture], (8, 16, 32), shift=0.5))


def test_one_output_for_each_grid_is_read_in_any_order() -> None:
    raw = output(8, 16, 32)
    ends = np.cumsum([cells(8), cells(16)])
    parts = dict(zip((8, 16, 32), np.split(raw, ends, axis=1), strict=True))
    split = {f"dis_pred_stride_{stride}": part[..., 2:] for stride, part in reversed(parts.items())}
    split |= {f"cls_pred_stride_{stride}": part[..., :2] for stride, part in parts.items()}
    for picture, candidates in enumerate(nanodet.decode(split, SPEC, LEAST)):
        assert_same(candidates, by_loops(raw[picture], (8, 16, 32), shift=0.5))


@pytest.mark.parametrize(
    ("shapes", "complaint"),
    [
        ({"output": (1, cells(8, 16, 32), 3 + 4 * BINS)}, r"expects \[b, n, c \+ 4"),
        ({"output": (1, 7, 2 + 4 * BINS)}, "produces 7 rows"),
        ({"cls_pred_stride_8": (1, 96, 2), "dis_pred_stride_16": (1, 24, 32)}, "choose another head"),
        ({"boxes": (1, 96, 4), "scores": (1, 96, 2)}, r"the model produces boxes \[1, 96, 4\], scores \[1, 96, 2\]"),
    ],
)
def test_other_outputs_are_refused_with_what_was_found(shapes: dict[str, tuple[int, ...]], complaint: str) -> None:
    with pytest.raises(PluginError, match=complaint):
        nanodet.decode({name: np.zeros(shape, np.float32) for name, shape in shapes.items()}, SPEC, LEAST)
