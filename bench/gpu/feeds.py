"""Many cameras at once through the daemon's own scheduling and the detector, from host memory to boxes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from bench.gpu.desk import Image
from bench.gpu.row import Row
from bench.null_plugins import NullObserver
from sightd.daemon.pipeline.frame_queue import FrameTask
from sightd.daemon.pipeline.manager import PluginManager
from sightd.engines.sessions.engine import Engine
from sightd.plugins.api import Frame
from sightd.plugins.detector import Detector
from sightd.plugins.detector.config import DetectorConfig

FPS = 30
KEPT = 0.95
"""Fraction of the frames that must be analysed for feeds to count as kept up with."""
_DETECTOR = "detector"
_ENDS_WITHIN = 5.0


@dataclass(frozen=True, slots=True)
class Load:
    """`counts` are the numbers of feeds to try in order, as long as the GPU keeps up; frames have `size` (width,
    height), and each number runs for `seconds`."""

    counts: Sequence[int]
    size: tuple[int, int]
    seconds: float


@dataclass(frozen=True, slots=True)
class Kept:
    """What happened to the frames of `feeds` feeds. `offered` frames in `elapsed` s; `times` are s from offering a
    frame to its boxes."""

    feeds: int
    offered: int
    elapsed: float
    times: Sequence[float]

    @property
    def share(self) -> float:
        return len(self.times) / self.offered

    @property
    def dropped(self) -> int:
        """Frames that were not analysed: a newer one replaced them, or the detector failed on them."""
        return self.offered - len(self.times)

    def figure(self) -> str:
        if not self.times:
            return f"no picture was analysed, {self.dropped} dropped"
        median, late = np.percentile(self.times, (50, 95)) * 1e3
        rate = len(self.times) / self.elapsed
        return (
            f"{rate:.0f} pictures/s, {100 * self.share:.0f} % of all, {self.dropped} dropped, "
            f"p50 {median:.1f} ms, p95 {late:.1f} ms"
        )

    def ending(self, kept_from: float = KEPT) -> str:
        """Returns why no more feeds were tried after these."""
        feeds = "1 feed" if self.feeds == 1 else f"{self.feeds} feeds"
        if self.share < kept_from:
            whole = 100 * len(self.times) // self.offered  # rounded down: 94.9 must not read as 95
            return f"{feeds}: only {whole} % were analysed, below {100 * kept_from:g} %"
        return f"{feeds}: no more were asked for"


def rows(engine: Engine, pictures: Sequence[Image], load: Load) -> list[Row]:
    """Returns a row per number of feeds, and one that says why they end there. Closes the detector and its engine."""
    backend, (width, height) = engine.session.backend, load.size
    what = f"{engine.model.name} on {backend.name} {backend.precision}"
    feeds = f"feeds of {width}x{height} at {FPS} fps"
    found = list(measured(engine, pictures, load))
    return [
        *(Row(f"{what}: {kept.feeds} {feeds}", kept.figure()) for kept in found),
        Row(f"{what}: end of the feeds", found[-1].ending()),
    ]


def measured(engine: Engine, pictures: Sequence[Image], load: Load, kept_from: float = KEPT) -> Iterator[Kept]:
    """Yields the result for each number of feeds, ending after the first that analysed a smaller fraction than
    `kept_from`."""
    shown = [np.asarray(cv2.resize(picture, load.size), np.uint8) for picture in pictures]
    manager = PluginManager(lambda *_: engine, lambda name: NullObserver())
    try:
        manager.add(manager.open(_DETECTOR, Detector, DetectorConfig(), cameras=max(load.counts)))
        for feeds in load.counts:
            kept = _kept(manager, shown, feeds, load.seconds)
            yield kept
            if kept.share < kept_from:
                return
    finally:
        manager.close()


def _kept(manager: PluginManager, pictures: Sequence[Image], feeds: int, seconds: float) -> Kept:
    """Offers all frames from one thread, spreading the cameras' frames of one moment over the interval to the next."""
    times: list[float] = []

    def analysed(_task: FrameTask, took: float) -> None:
        times.append(took)

    names = [f"feed-{number}" for number in range(feeds)]
    pipelines = [manager.pipeline(name, [_DETECTOR], analysed) for name in names]
    last: list[FrameTask | None] = [None] * feeds
    offered, begun = 0, time.monotonic()
    for moment in range(max(1, round(seconds * FPS))):
        for number, pipeline in enumerate(pipelines):
            wait = begun + (moment + number / feeds) / FPS - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            picture = pictures[offered % len(pictures)]
            frame = Frame.of(picture, camera=pipeline.camera, seq=moment, captured_at=time.monotonic())
            last[number] = pipeline.offer(frame)
            offered += 1
    for task in last:
        if task is not None:
            task.wait(_ENDS_WITHIN)
    elapsed = time.monotonic() - begun
    for name in names:
        manager.forget(name)
    return Kept(feeds, offered, elapsed, list(times))
