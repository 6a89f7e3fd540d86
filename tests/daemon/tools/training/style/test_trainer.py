"""Training steps: the models match ONNX Runtime's, losses fall, and an interruption changes nothing."""

from __future__ import annotations

from functools import cache
from typing import Any

import cv2
import numpy as np
import pytest

from sightd.engines.models.catalog import Catalog
from sightd.engines.models.convert import style_network, vgg
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from sightd.plugins.api import Image
from tests.support.faces import photo
from tests.support.networks import stored

pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'sightd[train]'")

from sightd.daemon.tools.training.style.network import TrainableStyle, Trunk
from sightd.daemon.tools.training.style.trainer import Plan, Trainer, example_of, nearest_style, to_image, to_tensor

PLAN = Plan(steps=12, side=64, batch=1, rate=5e-2, likeness=10.0, scale=1.0, whole=False)


def strokes() -> Image:
    """Returns a painting of short lines in four colours, BGR."""
    random, image = np.random.default_rng(0), np.full((96, 96, 3), (40, 20, 20), np.uint8)
    for _ in range(900):
        x, y = (int(value) for value in random.integers(0, 96, 2))
        colour = [(30, 60, 200), (40, 180, 240), (200, 120, 30), (230, 230, 220)][int(random.integers(4))]
        cv2.line(image, (x, y), (x + 6, y + 3), colour, 2)
    return image


@cache
def trunk() -> Trunk:
    return Trunk(vgg.read(stored("vgg16")), Catalog.load().get("vgg16").input, "cpu")


def style(row: int = 13, *, whole: bool = False) -> TrainableStyle:
    return TrainableStyle(style_network.read(stored("style26")), row, "cpu", whole=whole)


def trainer(plan: Plan = PLAN, of: TrainableStyle | None = None) -> Trainer:
    pictures = [photo("astronaut.png"), photo("coffee.png")]
    return Trainer(of or style(), trunk(), strokes(), pictures, plan, "cpu")


def square() -> Image:
    return np.asarray(cv2.resize(photo("astronaut.png"), (64, 64), interpolation=cv2.INTER_AREA), np.uint8)


def test_it_paints_as_onnx_runtime_does() -> None:
    picture = to_tensor([square()], "cpu")
    fed = {"image": picture.numpy(), "style_weights": np.eye(26, dtype=np.float32)[[13]]}
    expected = OnnxRuntimeSession(stored("style26"), threads=2).run(fed)["stylized"]
    found = style().painted(picture)
    np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-4)
    np.testing.assert_array_equal(to_image(picture), square())


def test_its_features_are_those_of_onnx_runtime() -> None:
    picture, spec = to_tensor([square()], "cpu"), Catalog.load().get("vgg16").input
    fed = picture.numpy()[:, ::-1] * 255 - np.array(spec.mean, np.float32)[None, :, None, None]
    expected = OnnxRuntimeSession(stored("vgg16"), threads=2).run({"image": fed.astype(np.float32)})
    for name, found in zip(("block1", "block2", "block3", "block4"), trunk().features(picture), strict=True):
        np.testing.assert_allclose(found.numpy(), expected[name], rtol=1e-3, atol=1e-2)


def test_a_style_comes_nearer_to_its_painting_and_leaves_the_network_alone() -> None:
    learning = style()
    steps = [trainer.advance() for trainer in [trainer(of=learning)] for _ in range(PLAN.steps)]
    assert np.mean([one.style for one in steps[-4:]]) < 0.8 * np.mean([one.style for one in steps[:2]])
    for before, after in zip(style().layers(), learning.layers(), strict=True):
        np.testing.assert_array_equal(before.kernel, after.kernel)
        assert np.any(before.scale != after.scale)


def test_all_of_it_can_be_learnt() -> None:
    learning = style(whole=True)
    one = trainer(Plan(2, 64, 2, 1e-3, 10.0, 1.0, whole=True), learning)
    one.advance()
    one.advance()
    assert all(
        np.any(before.kernel != after.kernel) for before, after in zip(style().layers(), learning.layers(), strict=True)
    )


def test_an_interruption_changes_nothing() -> None:
    straight, first = trainer(), trainer()
    for _ in range(4):
        straight.advance()
    first.advance()
    first.advance()
    state = first.state()
    again = trainer()
    again.restore(state)
    assert again.step == 2
    again.advance()
    again.advance()
    for name, values in straight.state().items():
        np.testing.assert_allclose(again.state()[name], values, rtol=1e-3, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("spoilt", [{"value-0": np.zeros(3, np.float32)}, {"value-0": None}])
def test_a_state_of_another_training_is_refused(spoilt: dict[str, Any]) -> None:
    state = {name: value for name, value in {**trainer().state(), **spoilt}.items() if value is not None}
    with pytest.raises((KeyError, ValueError)):
        trainer().restore(state)


def test_what_is_begun_with_is_the_style_that_looks_most_like_it() -> None:
    """For a painting made by one of the styles, that style."""
    styles = [style(row) for row in (3, 13, 19, 24)]
    picture = np.asarray(cv2.resize(photo("coffee.png"), (96, 96), interpolation=cv2.INTER_AREA), np.uint8)
    for expected, one in enumerate(styles):
        painting = to_image(one.painted(to_tensor([picture], "cpu")).detach())
        example = example_of(trunk(), painting, PLAN, "cpu")
        assert nearest_style(styles, trunk(), example, [square()], "cpu") == expected


def test_a_larger_scale_looks_at_the_painting_larger() -> None:
    """Its strokes become coarser: what falls within a layer's receptive field changes."""
    small, large = (
        example_of(trunk(), strokes(), Plan(1, 64, 1, 1.0, 1.0, scale, whole=False), "cpu") for scale in (1.0, 3.0)
    )
    assert float(((small[2] - large[2]) ** 2).sum() / (small[2] ** 2).sum()) > 0.05
