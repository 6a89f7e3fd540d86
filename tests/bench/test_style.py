"""`bench.style` measures what it claims, and its table distinguishes met from missed aims."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import pytest

from bench import style
from sightd.engines.session import Tensor
from sightd.plugins.api import FloatArray, Image

pytestmark = pytest.mark.computing


def scene(shift: int) -> Image:
    """Returns a textured image that moves to the left."""
    noise = np.random.default_rng(0).integers(0, 256, (90, 200, 3), np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.0)
    stretched = cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX)  # type: ignore[call-overload]
    return np.ascontiguousarray(stretched[:, shift : shift + 160], np.uint8)


def paint_of(image: Image) -> FloatArray:
    return 255 - image.astype(np.float32)


def test_paint_that_moves_with_the_picture_has_no_error() -> None:
    before, now = scene(0), scene(4)
    moving = style.warping_error(before, now, paint_of(before), paint_of(now))
    flickering = style.warping_error(before, now, paint_of(before), paint_of(now) + 40)
    assert moving < 8
    assert flickering > 35


class Flickering:
    """A model that randomly paints each image lighter or darker."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(1)

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        light = float(self._random.uniform(-0.2, 0.2))
        return {"stylized": np.clip(inputs["image"] + light, 0, 1).astype(np.float32)}


def test_both_ways_are_measured_on_the_same_paintings() -> None:
    session: Any = Flickering()
    figure = style.measure(session, "film", (scene(n // 4) for n in range(16)), "starry")
    assert figure.frames == 16
    assert figure.steady_error < figure.naive_error
    assert min(figure.network, figure.steady, figure.enlarge) > 0


@pytest.mark.parametrize(
    ("error", "steady", "kept"), [(4.0, 2.0, True), (6.0, 2.0, False), (4.0, 4.0, False)], ids=["kept", "error", "cost"]
)
def test_an_aim_is_error_and_cost(error: float, steady: float, kept: bool) -> None:
    assert style.Figure("film", 2, 10.0, error, 10.0, steady, 1.0).kept is kept
