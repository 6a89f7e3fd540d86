"""The detector plug-in: runs its network on frames and gives `Detections`."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engines.engine import Engine
from plugins.api import Context, Plugin, PluginConfig, PluginError
from plugins.detector.candidates import Head
from plugins.detector.config import DetectorConfig
from plugins.detector.heads import head_named
from plugins.detector.selection import Selection
from plugins.types import Detections, Frame, Results

_STALE_AFTER = 0.5
"""Seconds for which a detection stands for frames that were not analysed; then the object may be elsewhere."""


@dataclass(frozen=True, slots=True)
class _LastWord:
    """What was found on the newest analysed frame of a camera."""

    captured_at: float
    seq: int
    size: tuple[int, int]
    results: Results


class Detector(Plugin[DetectorConfig]):
    """Finds objects of the network's classes on each frame; remembers nothing but each camera's last result."""

    Config: ClassVar[type[PluginConfig]] = DetectorConfig
    gives: ClassVar[frozenset[type]] = frozenset({Detections})
    parallel: ClassVar[bool] = True

    _engine: Engine
    _head: Head
    _selection: Selection

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__(config)
        self._last: dict[str, _LastWord] = {}
        self._lock = threading.Lock()

    def open(self, context: Context) -> None:
        """Loads the network and runs it once on a black picture, so that a file that does not fit its head or its
        labels is told of now and not on the first frame.
        """
        engine = context.engine(self.config.model.resolve())
        model = engine.model
        self._head = head_named(model.head, model.name)
        self._selection = Selection(self.config, model.labels)
        self._engine = engine
        try:
            self._head(
                engine.run([np.zeros((model.input.height, model.input.width, 3), np.uint8)])[0],
                model.input,
                self._selection.min_score,
            )
        except PluginError as fault:
            raise PluginError(f"model {model.name!r}: {fault}") from None

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        """One run of the network for the whole batch."""
        outputs, geometries = self._engine.run([frame.host() for frame in frames])
        candidates = self._head(outputs, self._engine.model.input, self._selection.min_score)
        found = [
            Results(self._selection.detections(of_frame, geometry))
            for of_frame, geometry in zip(candidates, geometries, strict=True)
        ]
        for frame, result in zip(frames, found, strict=True):
            self._remember(frame, result)
        return found

    def carry(self, frame: Frame, results: Results) -> Results:
        """The camera's last detections, unmoved, for half a second: without a tracker the boxes do not flicker."""
        last = self._last.get(frame.camera)
        if last is None or last.size != (frame.width, frame.height):
            return Results()
        return last.results if frame.captured_at - last.captured_at <= _STALE_AFTER else Results()

    def forget(self, camera: str) -> None:
        with self._lock:
            self._last.pop(camera, None)

    def _remember(self, frame: Frame, results: Results) -> None:
        """Workers may end out of order: only a newer frame replaces the last word."""
        word = _LastWord(frame.captured_at, frame.seq, (frame.width, frame.height), results)
        with self._lock:
            last = self._last.get(frame.camera)
            if last is None or (last.captured_at, last.seq) <= (word.captured_at, word.seq):
                self._last[frame.camera] = word
