"""The decoder of SSD-shaped models, compared with a loop."""

from __future__ import annotations

import numpy as np
import pytest

from sightd.engines.model import ColourOrder, InputSpec, Resize
from sightd.plugins.api import FloatArray, PluginError
from sightd.plugins.detector.heads import ssd

SPEC = InputSpec("images", 300, 200, ColourOrder.RGB, Resize.STRETCH)
LEAST = np.array([0.3, 0.5, np.inf], np.float32)


def outputs(seed: int = 0, batch: int = 2, boxes: int = 40) -> dict[str, FloatArray]:
    random = np.random.default_rng(seed)
    return {
        "scores": random.random((batch, boxes, 3), np.float32),
        "boxes": random.random((batch, boxes, 4), np.float32),
    }


@pytest.mark.parametrize("seed", range(5))
def test_each_class_of_a_box_that_reaches_its_least_score_is_a_candidate(seed: int) -> None:
    raw = outputs(seed)
    found = ssd.decode(raw, SPEC, LEAST)
    assert len(found) == 2
    for picture, candidates in enumerate(found):
        expected = [
            ([x1 * 300, y1 * 200, x2 * 300, y2 * 200], raw["scores"][picture, i, c], c)
            for i, (x1, y1, x2, y2) in enumerate(raw["boxes"][picture])
            for c in range(3)
            if raw["scores"][picture, i, c] >= LEAST[c]
        ]
        np.testing.assert_allclose(candidates.boxes, [box for box, _, _ in expected], rtol=1e-6)
        assert candidates.scores.tolist() == [score for _, score, _ in expected]
        assert candidates.class_ids.tolist() == [c for _, _, c in expected]
        assert candidates.boxes.dtype == candidates.scores.dtype == np.float32


def test_outputs_of_other_names_are_told_by_their_shape() -> None:
    raw = outputs()
    named, renamed = (ssd.decode(each, SPEC, LEAST)[1] for each in (raw, {"a": raw["scores"], "b": raw["boxes"]}))
    np.testing.assert_array_equal(renamed.boxes, named.boxes)
    np.testing.assert_array_equal(renamed.scores, named.scores)


def test_with_four_classes_only_the_names_tell() -> None:
    four = np.full((1, 2, 4), 0.5, np.float32)
    least = np.full(4, 0.4, np.float32)
    assert len(ssd.decode({"scores": four, "boxes": four}, SPEC, least)[0].scores) == 8
    with pytest.raises(PluginError, match=r"the model produces a .*: choose another head"):
        ssd.decode({"a": four, "b": four}, SPEC, least)


@pytest.mark.parametrize(
    ("shapes", "complaint"),
    [
        ({"boxes": (1, 9, 4), "scores": (1, 9, 5)}, "scores 5 classes, but there are 3 labels"),
        ({"boxes": (1, 8, 4), "scores": (1, 9, 3)}, r"the model produces boxes \[1, 8, 4\], scores \[1, 9, 3\]"),
        ({"output": (1, 3549, 85)}, r"the model produces output \[1, 3549, 85\]"),
        ({"boxes": (9, 4), "scores": (9, 3)}, "choose another head"),
    ],
)
def test_other_outputs_are_refused_with_what_was_found(shapes: dict[str, tuple[int, ...]], complaint: str) -> None:
    with pytest.raises(PluginError, match=complaint):
        ssd.decode({name: np.zeros(shape, np.float32) for name, shape in shapes.items()}, SPEC, LEAST)


def test_scores_that_are_not_numbers_are_no_candidates() -> None:
    raw = outputs()
    raw["scores"][:, 30:] = np.nan
    assert [candidates.boxes.shape for candidates in ssd.decode(raw, SPEC, np.zeros(3, np.float32))] == [(90, 4)] * 2


def test_a_model_whose_scores_are_mostly_not_numbers_is_refused() -> None:
    raw = outputs()
    raw["scores"][:] = np.nan
    with pytest.raises(PluginError, match="most of the model's scores are not numbers"):
        ssd.decode(raw, SPEC, LEAST)


def test_half_precision_outputs_become_single() -> None:
    half = {name: tensor.astype(np.float16) for name, tensor in outputs().items()}
    candidates = ssd.decode(half, SPEC, LEAST)[0]
    assert candidates.boxes.dtype == candidates.scores.dtype == np.float32
