"""Made-up faces."""

from __future__ import annotations

import numpy as np

from sightd.plugins.api import FloatArray, Image
from sightd.plugins.face.gallery.gallery import Face


def vector(seed: int) -> FloatArray:
    numbers = np.random.default_rng(seed).normal(size=128)
    return np.asarray(numbers / np.linalg.norm(numbers), np.float32)


def crop(seed: int) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (112, 112, 3), np.uint8)


def face(seed: int, *, model: str = "sface", with_crop: bool = True) -> Face:
    return Face(model, vector(seed), 0.9, f"photo-{seed}.jpg", crop(seed) if with_crop else None)
