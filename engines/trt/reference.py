"""Test inputs for verifying engines: generated images, used if the user provides none, and further inputs. They are the
same on every machine."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.engines.session import Tensor, TensorSpec
from sightd.engines.trt.errors import EngineVerificationError

_SIZE = (480, 640)


def reference_pictures(count: int = 4) -> list[NDArray[np.uint8]]:
    """Returns different BGR uint8 [480, 640, 3] images: a street of simple shapes with texture, light and noise."""
    return [_picture(np.random.default_rng(seed)) for seed in range(count)]


def reference_inputs(inputs: Mapping[str, TensorSpec], picture: str, pictures: Tensor) -> dict[str, Tensor]:
    """Returns all inputs of a model. The input named `picture` gets `pictures` [n, …]. An input of weights [n, k] gets
    rows that sum to 1, each with most of its weight on another of the k. Raises EngineVerificationError for an input of
    any other form."""
    fed = {picture: pictures}
    for name, spec in inputs.items():
        if name == picture:
            continue
        match spec.shape:
            case (_, int(count)) if spec.dtype == np.float32:
                rows = np.arange(len(pictures)) * count // max(len(pictures), 1)
                fed[name] = (0.75 * np.eye(count, dtype=np.float32)[rows] + 0.25 / count).astype(np.float32)
            case _:
                raise EngineVerificationError(
                    f"the meaning of the input {name} {spec.dtype} {list(spec.shape)} is unknown, so the engine cannot "
                    "be compared with ONNX Runtime: export the model with an image as its only input"
                )
    return fed


def _picture(random: np.random.Generator) -> NDArray[np.uint8]:
    height, width = _SIZE
    light = np.linspace(random.uniform(120, 220), random.uniform(30, 90), height)[:, None, None]
    canvas = np.ascontiguousarray(np.broadcast_to(light, (height, width, 3))).astype(np.uint8)
    for _ in range(12):
        x, y = int(random.integers(0, width)), int(random.integers(height // 4, height))
        size = int(random.integers(20, 140))
        colour = [int(value) for value in random.integers(0, 256, 3)]
        cv2.rectangle(canvas, (x, y - size), (x + size // 2, y), colour, -1)
        cv2.circle(canvas, (x + size // 4, y - size - size // 6), size // 6, colour[::-1], -1)
        cv2.ellipse(canvas, (x, y), (size, size // 3), 0, 0, 360, colour[::-1], -1)
        cv2.circle(canvas, (x - size // 2, y + size // 4), size // 4, (20, 20, 20), -1)
    noisy = canvas + random.normal(0, 6, canvas.shape)
    return cv2.GaussianBlur(np.clip(noisy, 0, 255).astype(np.uint8), (3, 3), 0).astype(np.uint8)
