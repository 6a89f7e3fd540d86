"""Measures whether a painted feed keeps its camera's rate under CPU load: part of `bench.style`."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from multiprocessing.synchronize import Event

import numpy as np

from sightd.daemon.config.model import Engines, Models
from sightd.daemon.pipeline.model_loading import engine_loading
from sightd.engines.model import Model
from sightd.engines.sessions.engine import Engine
from sightd.plugins.api import Frame, Image, PluginConfig, Results
from sightd.plugins.style import Stylist
from sightd.plugins.style.config import StyleConfig

FPS = 15.0
"""Frame rate of the simulated camera, which two cores sustain with room to spare when nothing else runs."""
HELD = 0.9
"""Aim: at least this fraction of the camera's frames is painted."""
_SETTLE, _COUNT = 8.0, 6.0
"""Seconds to adapt, and seconds to count."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Frames painted per second, and the final height of the model's input image in px."""

    situation: str
    fps: float
    lines: int

    @property
    def kept(self) -> bool:
        return self.fps >= HELD * FPS


class _Context:
    """The plug-in's context: always returns the same engine."""

    name = "style"

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def engine(self, choice: Sequence[str | Model]) -> Engine:
        return self._engine


def rates(engine: Engine, film: Sequence[Image]) -> list[Rate]:
    """Paints a simulated camera, first by itself and then next to a detector that runs continuously in its own
    process. As in the daemon, the newest frame is painted and older ones are skipped."""
    plugin = Stylist(StyleConfig())
    plugin.open(_Context(engine))
    found = [_painted(plugin, film, "alone")]
    with _detector():
        found.append(_painted(plugin, film, "beside a detector"))
    plugin.close()
    return found


def _painted(plugin: Stylist, film: Sequence[Image], situation: str) -> Rate:
    begun, last, counted = time.monotonic(), -1, 0
    pictures = cycle(film)
    while (now := time.monotonic() - begun) < _SETTLE + _COUNT:
        seq = int(now * FPS)
        if seq == last:
            time.sleep((seq + 1) / FPS - now)
            continue
        frame = Frame.of(next(pictures), camera=situation, seq=seq, captured_at=begun + seq / FPS)
        plugin.process([frame], [Results()])
        counted += now > _SETTLE
        last = seq
    return Rate(situation, counted / _COUNT, plugin.lines_of(situation))


@contextmanager
def _detector() -> Iterator[None]:
    """Runs a detector on one core while the context is active."""
    context = multiprocessing.get_context("spawn")
    ready, stop = context.Event(), context.Event()
    process = context.Process(target=_detect, args=(ready, stop), daemon=True)
    process.start()
    ready.wait(60)
    try:
        yield
    finally:
        stop.set()
        process.join(10)


def _detect(ready: Event, stop: Event) -> None:
    engine = engine_loading(Models(), Engines())(["ssd-mobilenet-v2"], 1, PluginConfig())
    noise = np.random.default_rng(os.getpid()).integers(0, 256, (360, 640, 3), np.uint8)
    ready.set()
    while not stop.is_set():
        engine.run([noise])
    engine.close()
