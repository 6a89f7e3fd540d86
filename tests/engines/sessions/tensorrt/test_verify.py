"""How an engine's results are compared with the reference's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from sightd.engines.errors import BackendUnavailableError, EngineVerificationError
from sightd.engines.models.catalog import Catalog
from sightd.engines.models.onnx_edit import to_fp16
from sightd.engines.preprocess import prepare
from sightd.engines.session import Backend, Tensor, TensorSpec
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from sightd.engines.sessions.tensorrt.verify import (
    LEAST_PSNR,
    Boxes,
    boxes_verifier,
    compare,
    embeddings_verifier,
    images_verifier,
    least_cosine,
    least_psnr,
    matched_iou,
    reference_inputs,
    reference_pictures,
    verifier_for,
)
from tests.support.networks import stored


def boxes(*rows: tuple[float, float, float, float], scores: float | list[float] = 0.9, classes: int = 1) -> Boxes:
    count = len(rows)
    return Boxes(
        np.array(rows, np.float32).reshape(count, 4),
        np.broadcast_to(np.array(scores, np.float32), count),
        np.full(count, classes),
    )


LARGE = (10.0, 10.0, 210.0, 110.0)
SMALL = (50.0, 50.0, 58.0, 58.0)


def test_equal_boxes_in_another_order_match() -> None:
    np.testing.assert_array_equal(matched_iou(boxes(LARGE, SMALL), boxes(SMALL, LARGE)), [1, 1])


def test_a_box_that_moved_a_little_matches_less() -> None:
    moved = (10.5, 10.0, 210.5, 110.0)
    assert matched_iou(boxes(LARGE), boxes(moved)) == pytest.approx(199.5 / 200.5)


@pytest.mark.parametrize("other", [boxes(), boxes(LARGE, classes=2), boxes((300, 300, 310, 310))])
def test_a_box_without_its_like_counts_as_nothing(other: Boxes) -> None:
    np.testing.assert_array_equal(matched_iou(boxes(LARGE), other), [0])


def test_weak_boxes_are_not_asked_for() -> None:
    assert len(matched_iou(boxes(LARGE, SMALL, scores=[0.9, 0.1]), boxes(LARGE))) == 1
    assert len(matched_iou(boxes(LARGE, SMALL, scores=[0.1, 0.06]), boxes(LARGE, SMALL))) == 2


def judged(reference: Boxes, found: Boxes) -> dict[str, float]:
    told = {"reference": reference, "found": found}
    verifier = boxes_verifier(lambda outputs: [told[name] for name in outputs])
    return dict(verifier({"reference": np.empty(0)}, {"found": np.empty(0)}))


def test_boxes_that_agree_pass_with_their_measures() -> None:
    assert judged(boxes(LARGE), boxes(LARGE)) == {"mean IoU of matched boxes": 1, "least IoU of matched boxes": 1}


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        (boxes(LARGE), boxes((14, 10, 214, 110))),
        (boxes(LARGE), boxes()),
        (boxes(LARGE), boxes(LARGE, (300, 300, 400, 400))),
        (boxes(*[LARGE] * 99, SMALL), boxes(*[LARGE] * 99, (52, 50, 60, 58))),
    ],
    ids=["moved", "lost", "invented", "one among many"],
)
def test_boxes_that_do_not_agree_are_refused(reference: Boxes, found: Boxes) -> None:
    with pytest.raises(EngineVerificationError, match="does not agree with ONNX Runtime"):
        judged(reference, found)


def test_pictures_that_show_nothing_prove_nothing() -> None:
    with pytest.raises(EngineVerificationError, match="finds nothing in the reference images"):
        judged(boxes(), boxes(LARGE))


@given(arrays.arrays(np.float32, (3, 8), elements=st.floats(-100, 100, width=32)), st.floats(0.5, 4))
def test_the_cosine_knows_direction_only(rows: NDArray[np.float32], factor: float) -> None:
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
    assume((lengths > 1e-30).all())
    assert least_cosine(rows, rows.astype(np.float64) * factor) == pytest.approx(1)


def test_the_worst_row_decides() -> None:
    a = np.array([[1, 0], [1, 0]], np.float32)
    assert least_cosine(a, np.array([[1, 0], [1, 1]], np.float32)) == pytest.approx(np.sqrt(0.5))
    assert least_cosine(a, np.array([[1, 0], [0, 0]], np.float32)) == -1
    assert least_cosine(a * 0, a * 0) == 1


def test_embeddings_have_their_limit() -> None:
    a = np.array([[1, 0]], np.float32)
    assert embeddings_verifier({"x": a}, {"x": a}) == {"least cosine": 1}
    with pytest.raises(EngineVerificationError, match=r"least cosine is 0\.9988, but must be at least 0\.999"):
        embeddings_verifier({"x": a}, {"x": np.array([[1, 0.05]], np.float32)})


def test_psnr_of_a_known_error() -> None:
    a = np.linspace(0, 1, 100, dtype=np.float32).reshape(1, 10, 10)
    assert least_psnr(a, a + 0.01) == pytest.approx(40, abs=1e-3)
    assert least_psnr(a, a) == np.inf


def test_pictures_have_their_limit() -> None:
    a = np.linspace(0, 1, 100, dtype=np.float32).reshape(1, 10, 10)
    assert images_verifier({"x": a}, {"x": a}) == {"least PSNR in dB": 999}
    with pytest.raises(EngineVerificationError, match="least PSNR in dB is 33"):
        images_verifier({"x": a}, {"x": a + 0.022})


class ConstantSession:
    """A session that always returns the same."""

    backend = Backend("none", "cpu", "fp32")

    def __init__(self, **outputs: Tensor) -> None:
        self._outputs = outputs
        self.inputs: dict[str, TensorSpec] = {}
        self.outputs: dict[str, TensorSpec] = {}

    def run(self, inputs: object) -> dict[str, Tensor]:
        return self._outputs

    def close(self) -> None:
        pass


ONES = np.ones((1, 4), np.float32)


@pytest.mark.parametrize(
    ("candidate", "told"),
    [
        (ConstantSession(), "the engine produces nothing"),
        (ConstantSession(x=ONES[:, :2]), r"must be \[1, 4\], but the engine produces \[1, 2\]"),
        (ConstantSession(x=ONES * np.nan), "produces values that are not finite"),
        (ConstantSession(x=-ONES), "least cosine is -1"),
    ],
)
def test_an_engine_that_gives_something_else_is_refused(candidate: ConstantSession, told: str) -> None:
    with pytest.raises(EngineVerificationError, match=told):
        compare(ConstantSession(x=ONES), candidate, {}, embeddings_verifier)


def test_the_number_of_boxes_may_differ_only_if_the_file_leaves_it_open() -> None:
    wanted, found = np.ones((2, 5, 4), np.float32), np.ones((2, 3, 4), np.float32)
    reference, candidate = ConstantSession(dets=wanted), ConstantSession(dets=found)
    seen: list[Tensor] = []

    def verifier(reference: Mapping[str, Tensor], candidate: Mapping[str, Tensor]) -> Mapping[str, float]:
        seen.append(candidate["dets"])
        return {}

    for shape in [(None, 5, 4), (None, None, 5)]:
        reference.outputs = {"dets": spec_of("dets", shape)}
        candidate_of = {"dets": found if shape[1] else found[..., :3]}
        with pytest.raises(EngineVerificationError, match=r"dets must be \[2, 5, 4\]"):
            compare(reference, ConstantSession(**candidate_of), {}, verifier)
    reference.outputs = {"dets": spec_of("dets", (None, None, 4))}
    compare(reference, candidate, {}, verifier)
    assert len(seen) == 1


def test_every_role_has_its_judge() -> None:
    assert verifier_for("classifier") is embeddings_verifier
    assert verifier_for("style") is images_verifier
    assert callable(verifier_for("detector", lambda outputs: []))
    assert callable(verifier_for("oracle", lambda outputs: []))


def test_a_role_without_a_verifier_leaves_the_model_to_other_backends() -> None:
    with pytest.raises(BackendUnavailableError, match="defined for models with the role 'oracle'"):
        verifier_for("oracle")


def test_reference_pictures_are_the_same_every_time_and_differ_from_each_other() -> None:
    first, again = reference_pictures(3), reference_pictures(3)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], first[1])
    assert first[0].shape == (480, 640, 3)
    assert first[0].dtype == np.uint8


def spec_of(name: str, shape: tuple[int | None, ...], dtype: str = "f4") -> TensorSpec:
    return TensorSpec(name, shape, np.dtype(dtype))


def test_inputs_beside_the_picture_are_mixtures_that_differ() -> None:
    pictures = np.zeros((4, 3, 8, 8), np.float32)
    specs = {
        "image": TensorSpec("image", (None, 3, None, None), np.dtype("f4")),
        "w": TensorSpec("w", (None, 26), np.dtype("f4")),
    }
    fed = reference_inputs(specs, {"image": pictures})
    assert fed["image"] is pictures
    np.testing.assert_allclose(fed["w"].sum(axis=1), 1, rtol=1e-6)
    assert fed["w"].argmax(axis=1).tolist() == [0, 6, 13, 19]


@pytest.mark.parametrize(("shape", "dtype"), [((None, 2, 2), "f4"), ((None, 4), "i8"), ((None, None), "f4")])
def test_an_input_that_nobody_knows_how_to_feed_is_told(shape: tuple[int | None, ...], dtype: str) -> None:
    specs = {
        "image": TensorSpec("image", (None, 3, 8, 8), np.dtype("f4")),
        "odd": TensorSpec("odd", shape, np.dtype(dtype)),
    }
    with pytest.raises(EngineVerificationError, match="the meaning of the input odd"):
        reference_inputs(specs, {"image": np.zeros((1, 3, 8, 8), np.float32)})


def test_the_styles_network_stays_itself_in_half_precision(tmp_path: Path) -> None:
    """Uses the verifier, images and mixtures that are used for a real engine of this model."""
    path, half = stored("style26"), tmp_path / "half.onnx"
    onnx.save(to_fp16(onnx.load(path)), str(half))
    spec = Catalog.load().get("style26").input
    full, other = OnnxRuntimeSession(path, 2), OnnxRuntimeSession(half, 2)
    tensor, _ = prepare(reference_pictures(), spec)
    found = compare(full, other, reference_inputs(full.inputs, {spec.tensor: tensor}), verifier_for("style"))
    assert found["least PSNR in dB"] >= LEAST_PSNR
