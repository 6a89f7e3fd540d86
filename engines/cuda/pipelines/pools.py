"""Pools of GPU pipelines, each lent to one thread at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from sightd.engines.cuda.image import DeviceImage, DeviceSheet, Image
from sightd.engines.cuda.pipelines.detection import DetectionPipeline, RawDetections
from sightd.engines.cuda.pipelines.faces import Embedded, FacePipeline
from sightd.engines.cuda.pipelines.style import Steady, StylePipeline
from sightd.engines.errors import EngineError

_CLOSE_WITHIN = 10.0


class GpuPipeline(Protocol):
    """A GPU pipeline: a stream with the memory for one batch at a time."""

    def close(self) -> None: ...


L = TypeVar("L", bound=GpuPipeline)


class GpuPipelines(Generic[L]):
    """A pool of up to `most` GPU pipelines, created when several threads need one at once. Lends the most recently used
    one first. Thread-safe."""

    def __init__(self, make: Callable[[], L], most: int = 2) -> None:
        self._make, self._most = make, most
        self._free: list[L] = []
        self._lent = 0
        self._closed = False
        self._changed = threading.Condition()

    def close(self) -> None:
        """Waits for current runs, then frees all pipelines. Must be called before the session is closed. Idempotent.

        Raises EngineError if a run does not end, because its memory cannot be freed while it runs.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            if not self._changed.wait_for(lambda: not self._lent, _CLOSE_WITHIN):
                raise EngineError(
                    f"{self._lent} runs did not finish within {_CLOSE_WITHIN:g} s; their memory is not released"
                )
            pipelines, self._free = self._free, []
        for pipeline in pipelines:
            pipeline.close()

    @contextmanager
    def lent(self) -> Iterator[L]:
        """Lends a pipeline for the block; waits until one is free. Raises EngineError after `close`."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._free or self._lent < self._most)
            if self._closed:
                raise EngineError("a model was run after it was closed")
            self._lent += 1
            free = self._free.pop() if self._free else None
        pipeline = free
        try:
            pipeline = pipeline or self._make()
            yield pipeline
        finally:
            with self._changed:
                self._lent -= 1
                if pipeline is not None:
                    self._free.append(pipeline)
                self._changed.notify_all()


class DetectionPipelines(GpuPipelines[DetectionPipeline]):
    """The GPU pipelines of one detector."""

    def find(self, images: Sequence[Image | DeviceImage | DeviceSheet]) -> list[RawDetections]:
        """See `DetectionPipeline.find`."""
        with self.lent() as pipeline:
            return pipeline.find(images)


class FacePipelines(GpuPipelines[FacePipeline]):
    """The GPU pipelines of one face embedder."""

    def embed(
        self, images: Sequence[Image | DeviceImage], faces: Sequence[tuple[int, NDArray[np.floating]]]
    ) -> Embedded:
        """See `FacePipeline.embed`."""
        with self.lent() as pipeline:
            return pipeline.embed(images, faces)


class StylePipelines(GpuPipelines[StylePipeline]):
    """The GPU pipelines of one style model."""

    def takes(self, image: DeviceImage) -> bool:
        """See `StylePipeline.takes`."""
        with self.lent() as pipeline:
            return pipeline.takes(image)

    def paint(self, images: Sequence[DeviceImage], weights: NDArray[np.float32], steady: Steady) -> list[DeviceImage]:
        """See `StylePipeline.paint`."""
        with self.lent() as pipeline:
            return pipeline.paint(images, weights, steady)
