"""What the trained layers are fed with: feature maps of the frozen trunk, computed once and kept on disk, or images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from sightd.daemon.tools.label.labelled import LabelledFrame
from sightd.daemon.tools.training.detector.graph import YoloxGraph
from sightd.daemon.tools.training.detector.views import View, plain_view, random_view
from sightd.engines.model import InputSpec
from sightd.engines.progress import Progress
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession

Tensor = Any


class Views:
    """The views of some frames. View 0 is the detector's own, the others are changed at random: by frame and number,
    always in the same way."""

    def __init__(self, frames: Sequence[LabelledFrame], spec: InputSpec, seed: int, *, mirror: bool) -> None:
        self.frames, self.spec = frames, spec
        self._seed, self._mirror = seed, mirror

    def view(self, frame: int, number: int) -> View:
        one = self.frames[frame]
        if number == 0:
            return plain_view(one.width, one.height, self.spec)
        return random_view(one.width, one.height, self.spec, (self._seed, frame, number), mirror=self._mirror)

    def truth(self, frame: int, number: int, device: str) -> tuple[Tensor, Tensor]:
        """Returns boxes [m, 4] in pixels of the model's input, and classes [m]."""
        boxes, labels = self.view(frame, number).boxes(*self.frames[frame].arrays(), self.spec)
        return torch.tensor(boxes, device=device), torch.tensor(labels, device=device)


class Inputs(Protocol):
    """Inputs of the trained layers for pairs (frame, view)."""

    views: Views

    def batch(self, chosen: Sequence[tuple[int, int]]) -> list[Tensor]:
        """Returns one tensor [b, …] for each input of the layers."""
        ...


class ImageInputs:
    """Images, made when they are needed: every layer is trained."""

    def __init__(self, views: Views, device: str) -> None:
        self.views, self._device = views, device

    def batch(self, chosen: Sequence[tuple[int, int]]) -> list[Tensor]:
        views = self.views
        made = [views.view(*one).tensor(views.frames[one[0]].image(), views.spec) for one in chosen]
        return [torch.tensor(np.concatenate(made), device=self._device)]


class FeatureInputs:
    """Feature maps that the frozen trunk computes from `count` views of each frame, as fp16 in one file per frame.
    Files that an earlier, interrupted run has written are used again."""

    def __init__(
        self, graph: YoloxGraph, trunk: Path, views: Views, count: int, folder: Path, threads: int, device: str
    ) -> None:
        """`trunk` is the file of the trunk, `folder` an existing one for the features of these frames and views."""
        self.views, self._count, self._folder, self._device = views, count, folder, device
        self._input, self._names = graph.input, [level.feature for level in graph.levels]
        self._session = OnnxRuntimeSession(trunk, threads)
        spec = views.spec
        blank = np.zeros((1, 3, spec.height, spec.width), np.float32)
        self.shapes = [tuple(one.shape[1:]) for one in self._maps(blank)]

    def prepare(self, task: str, progress: Progress) -> None:
        """Computes what is missing. `progress` counts frames. Raises LabelError if a frame cannot be read, and OSError
        if the features cannot be stored."""
        for frame in range(len(self.views.frames)):
            progress(task, frame, len(self.views.frames))
            if not self._file(frame).exists():
                self._write(frame)
        progress(task, len(self.views.frames), len(self.views.frames))

    def close(self) -> None:
        self._session.close()

    def batch(self, chosen: Sequence[tuple[int, int]]) -> list[Tensor]:
        flat = np.stack([np.load(self._file(frame), mmap_mode="r")[view] for frame, view in chosen])
        ends = np.cumsum([int(np.prod(shape)) for shape in self.shapes])
        parts = np.split(flat.astype(np.float32), ends[:-1], axis=1)
        return [
            torch.tensor(part.reshape(len(chosen), *shape), device=self._device)
            for part, shape in zip(parts, self.shapes, strict=True)
        ]

    def _write(self, frame: int) -> None:
        image, made = self.views.frames[frame].image(), []
        for number in range(self._count):
            maps = self._maps(self.views.view(frame, number).tensor(image, self.views.spec))
            made.append(np.concatenate([one.ravel() for one in maps]).astype(np.float16))
        file = self._file(frame)
        scratch = file.with_suffix(".new")
        with scratch.open("wb") as out:
            np.save(out, np.stack(made))
        scratch.replace(file)

    def _maps(self, tensor: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        found = self._session.run({self._input: tensor})
        return [found[name] for name in self._names]

    def _file(self, frame: int) -> Path:
        return self._folder / f"{frame:06}.npy"
