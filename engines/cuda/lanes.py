"""Pools of GPU pipelines, each lent to one thread at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from sightd.engines.cuda.detection_lane import DetectionLane, Placed
from sightd.engines.cuda.device_image import DeviceImage
from sightd.engines.cuda.face_lane import Embedded, FaceLane
from sightd.engines.cuda.style_lane import Steady, StyleLane
from sightd.engines.cuda.upload import Image
from sightd.engines.errors import EngineError

_CLOSE_WITHIN = 10.0


class Lane(Protocol):
    """A GPU pipeline: a stream with the memory for one batch at a time."""

    def close(self) -> None: ...


L = TypeVar("L", bound=Lane)


class Lanes(Generic[L]):
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
            lanes, self._free = self._free, []
        for lane in lanes:
            lane.close()

    @contextmanager
    def lent(self) -> Iterator[L]:
        """Lends a pipeline for the block; waits until one is free. Raises EngineError after `close`."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._free or self._lent < self._most)
            if self._closed:
                raise EngineError("a model was run after it was closed")
            self._lent += 1
            free = self._free.pop() if self._free else None
        lane = free
        try:
            lane = lane or self._make()
            yield lane
        finally:
            with self._changed:
                self._lent -= 1
                if lane is not None:
                    self._free.append(lane)
                self._changed.notify_all()


class DetectionLanes(Lanes[DetectionLane]):
    """The GPU pipelines of one detector."""

    def find(self, images: Sequence[Image | DeviceImage]) -> list[Placed]:
        """See `DetectionLane.find`."""
        with self.lent() as lane:
            return lane.find(images)


class FaceLanes(Lanes[FaceLane]):
    """The GPU pipelines of one face embedder."""

    def embed(
        self, images: Sequence[Image | DeviceImage], faces: Sequence[tuple[int, NDArray[np.floating]]]
    ) -> Embedded:
        """See `FaceLane.embed`."""
        with self.lent() as lane:
            return lane.embed(images, faces)


class StyleLanes(Lanes[StyleLane]):
    """The GPU pipelines of one style model."""

    def takes(self, image: DeviceImage) -> bool:
        """See `StyleLane.takes`."""
        with self.lent() as lane:
            return lane.takes(image)

    def paint(self, images: Sequence[DeviceImage], weights: NDArray[np.float32], steady: Steady) -> list[DeviceImage]:
        """See `StyleLane.paint`."""
        with self.lent() as lane:
            return lane.paint(images, weights, steady)
