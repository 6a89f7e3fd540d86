"""The painting is kept in static areas, follows motion, and is new in uncovered areas."""

from __future__ import annotations

import cv2
import numpy as np

from sightd.plugins.api import FloatArray, Image
from sightd.plugins.style.temporal_smoother import Painted, TemporalSmoother


def scene(shift: int = 0) -> Image:
    """Returns a textured image, shifted to the right by `shift` px."""
    texture = cv2.GaussianBlur(np.random.default_rng(3).integers(0, 256, (96, 240), np.uint8), (0, 0), 3)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX)  # type: ignore[call-overload]
    return np.repeat(np.asarray(texture, np.uint8)[:, 40 - shift : 200 - shift, None], 3, axis=2)


def paint(seed: int) -> FloatArray:
    return np.random.default_rng(seed).uniform(0, 255, (96, 160, 3)).astype(np.float32)


def run(frames: list[Image], strength: float = 1.0) -> list[FloatArray]:
    steadier, last, shown = TemporalSmoother(strength), None, []
    for n, frame in enumerate(frames):
        last = steadier.steadied(last, frame, paint(n))
        shown.append(last.paint)
    return shown


def change(shown: list[FloatArray]) -> float:
    return float(np.abs(shown[-1] - shown[-2]).mean())


def test_on_a_still_camera_strokes_stay() -> None:
    noisy = [
        np.clip(scene() + np.random.default_rng(n).normal(0, 2, scene().shape), 0, 255).astype(np.uint8)
        for n in range(8)
    ]
    assert change(run(noisy)) < 0.25 * change(run(noisy, strength=0))


def test_paint_moves_with_the_picture() -> None:
    steadier = TemporalSmoother()
    first = steadier.steadied(None, scene(), paint(0))
    moved = steadier.steadied(first, scene(6), np.zeros((96, 160, 3), np.float32))
    inside = moved.paint[16:-16, 30:-30]
    predicted, stayed = first.paint[16:-16, 24:-36], first.paint[16:-16, 30:-30]
    assert np.corrcoef(inside.ravel(), predicted.ravel())[0, 1] > 0.75
    assert abs(np.corrcoef(inside.ravel(), stayed.ravel())[0, 1]) < 0.3


def test_what_is_new_is_painted_from_scratch() -> None:
    other = np.zeros_like(scene())
    fresh = run([scene(), other])[-1]
    assert np.mean(np.abs(fresh - paint(1)) < 1) > 0.8
    assert np.abs(fresh - paint(1)).mean() < 12


def test_another_size_starts_over() -> None:
    last = Painted(np.zeros((48, 64), np.uint8), np.zeros((48, 64, 3), np.float32))
    assert np.array_equal(TemporalSmoother().steadied(last, scene(), paint(5)).paint, paint(5))


def test_without_strength_nothing_is_kept() -> None:
    assert np.array_equal(run([scene(), scene()], strength=0)[-1], paint(1))
