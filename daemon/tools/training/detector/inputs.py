"""What the trained layers are fed with: random views of labelled frames, as images or as feature maps of the layers
that are frozen."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sightd.daemon.tools.label.labelled import LabelledFrame
from sightd.daemon.tools.training.detector.copies import Copies
from sightd.daemon.tools.training.detector.graph import Part, YoloxGraph
from sightd.daemon.tools.training.detector.views import random_view
from sightd.engines.model import InputSpec
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from sightd.plugins.api import FloatArray, Image, IntArray

Tensor = Any
_KEPT = 50
"""Decoded images that are kept in memory."""
_COPIED = 0.75
"""Share of the views with copies of other objects."""


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """The model's input [1, 3, h, w], and its objects: boxes [m, 4] in pixels of the input, and labels [m]."""

    tensor: NDArray[np.float32]
    boxes: FloatArray
    labels: IntArray


class Examples:
    """Random views of some frames, most of them with copies of other labelled objects."""

    def __init__(self, frames: Sequence[LabelledFrame], spec: InputSpec, *, mirror: bool) -> None:
        """Raises LabelError if a frame cannot be read."""
        self._frames, self._spec, self._mirror = frames, spec, mirror
        self._image = lru_cache(_KEPT)(self._read)
        self._copies = Copies(frames, self._image, mirror=mirror)

    def random(self, random: np.random.Generator) -> Example:
        """Returns a view that depends only on the frames and on `random`. Raises LabelError if a frame cannot be
        read."""
        number = int(random.integers(len(self._frames)))
        frame = self._frames[number]
        boxes, labels = frame.arrays()
        if random.random() < _COPIED:
            image, boxes, labels = self._copies.added(number, boxes, labels, random)
        else:
            image = self._image(number)
        view = random_view(frame.width, frame.height, self._spec, random, mirror=self._mirror)
        return Example(view.tensor(image, self._spec), *view.boxes(boxes, labels, self._spec))

    def _read(self, number: int) -> Image:
        return self._frames[number].image()


class Inputs(AbstractContextManager["Inputs"]):
    """Turns images into inputs of the trained layers; ONNX Runtime computes what is frozen."""

    def __init__(self, graph: YoloxGraph, part: Part, folder: Path, threads: int, device: str) -> None:
        """`folder` is an existing one for the file of the frozen layers, which `close` removes."""
        self._image, self._names, self._device = graph.input, graph.inputs_of(part), device
        self._file, self._session = folder / "frozen.onnx", None
        if part != Part.ALL:
            graph.write_frozen(self._file, part)
            self._session = OnnxRuntimeSession(self._file, threads)

    def of(self, tensors: Sequence[NDArray[np.float32]]) -> list[Tensor]:
        """Returns one tensor [b, …] for each input of the layers, from b tensors [1, 3, h, w]."""
        found = [self._maps(tensor) for tensor in tensors]
        return [torch.tensor(np.concatenate(one), device=self._device) for one in zip(*found, strict=True)]

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
        self._file.unlink(missing_ok=True)

    def __exit__(self, *_: object) -> None:
        self.close()

    def _maps(self, tensor: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        if self._session is None:
            return [tensor]
        found = self._session.run({self._image: tensor})
        return [found[name] for name in self._names]
