"""Crops objects and runs the embedder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sightd.engines.classification import cut_out
from sightd.engines.geometry import clip
from sightd.engines.sessions.engine import Engine
from sightd.plugins.api import FloatArray, Frame, Image, PluginError

_AT_ONCE = 16
"""Crops in one run of the model: the batch size that engines are built for."""
_LEAST_LENGTH = 1e-6


class ObjectEmbedder:
    """Embeds crops of objects. Thread-safe; holds nothing to release."""

    def __init__(self, engine: Engine) -> None:
        """Runs the model once, with two images. Raises PluginError if it does not return one vector for each."""
        self._engine = engine
        spec = engine.model.input
        self._size = (spec.width, spec.height)
        self.model = engine.model.name
        grey = np.arange(spec.width * spec.height * 3).reshape(spec.height, spec.width, 3) % 256
        self.dimensions = self._vectors([grey.astype(np.uint8)] * 2).shape[1]

    def crop(self, frame: Frame, box: FloatArray) -> Image | None:
        """Returns the box xyxy of the frame, stretched to the model's input; None if it has no area in the frame."""
        inside = clip(box[None].astype(np.float64), frame.width, frame.height)[0]
        left, top, right, bottom = (round(side) for side in inside.tolist())
        if right - left < 1 or bottom - top < 1:
            return None
        return cut_out(frame.host(), (left, top, right, bottom), self._size)

    def embed(self, crops: Sequence[Image]) -> FloatArray:
        """Returns vectors float32 [n, dimensions] of unit length, 0 if a crop has no look. Raises PluginError for
        output of another shape or not finite."""
        parts = (crops[begin : begin + _AT_ONCE] for begin in range(0, len(crops), _AT_ONCE))
        return np.concatenate([np.zeros((0, self.dimensions), np.float32), *map(self._vectors, parts)])

    def _vectors(self, crops: Sequence[Image]) -> FloatArray:
        outputs = list(self._engine.run(crops)[0].values())
        if len(outputs) != 1 or len(outputs[0]) != len(crops) or outputs[0].size < 2 * len(crops):
            shapes = ", ".join(str(list(one.shape)) for one in outputs)
            raise PluginError(f"model {self.model!r} returns {shapes} for {len(crops)} images, expected a vector each")
        vectors = outputs[0].reshape(len(crops), -1).astype(np.float32)
        if not np.isfinite(vectors).all():
            raise PluginError(f"model {self.model!r} returns values that are not finite")
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: FloatArray = np.where(lengths > _LEAST_LENGTH, vectors / np.maximum(lengths, _LEAST_LENGTH), 0)
        return unit
