"""Small plug-ins for tests of the pipeline, and their observer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from sightd.daemon.pipeline.breaker import BreakerState
from sightd.engines.sessions.engine import Engine
from sightd.plugins.api import Detections, Frame, Plugin, PluginConfig, Results, Tracks
from sightd.plugins.configuration.declarations import Declarations

IMAGE = np.zeros((4, 4, 3), np.uint8)


def frame(camera: str = "a", seq: int = 0, captured_at: float | None = None) -> Frame:
    return Frame.of(IMAGE, camera=camera, seq=seq, captured_at=seq * 0.04 if captured_at is None else captured_at)


class Finder(Plugin[PluginConfig]):
    """Finds as many objects as the frame's number says, once it is allowed to; predicts an empty result."""

    produces = frozenset({Detections})

    def __init__(self, config: PluginConfig | None = None) -> None:
        super().__init__(config or PluginConfig())
        self.let = threading.Event()
        self.let.set()
        self.seen: list[tuple[str, int]] = []
        self.batches: list[int] = []
        self.entered = threading.Semaphore(0)
        self.before: Callable[[], None] = lambda: None

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        self.batches.append(len(frames))
        self.seen += [(f.camera, f.seq) for f in frames]
        self.entered.release()
        assert self.let.wait(10)
        self.before()
        return [Results(found(f.seq)) for f in frames]

    def predict(self, frame: Frame, results: Results) -> Results:
        return Results(Detections.none(("predicted",)))


class ParallelFinder(Finder):
    parallel = True


class Follower(Plugin[PluginConfig]):
    """Requires detections; records on which frames it ran and which it predicted."""

    requires = frozenset({Detections})
    produces = frozenset({Tracks})

    def __init__(self, config: PluginConfig | None = None) -> None:
        super().__init__(config or PluginConfig())
        self.ran: list[int] = []
        self.predicted: list[int] = []
        self.forgot: list[str] = []

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        self.ran += [f.seq for f in frames]
        return [Results(Tracks.none()) for _ in frames]

    def predict(self, frame: Frame, results: Results) -> Results:
        self.predicted.append(frame.seq)
        return Results(Tracks.none(("predicted",)))

    def forget(self, camera: str) -> None:
        self.forgot.append(camera)


def found(count: int) -> Detections:
    return Detections(np.zeros((count, 4), np.float32), np.ones(count, np.float32), np.zeros(count, np.int64), ("x",))


@dataclass
class Observations:
    """An observer that records its calls."""

    phases: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    states: list[BreakerState] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    engines: list[Engine] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    cpu: float = 0.0
    restarts: int = 0
    declared: list[Declarations] = field(default_factory=list)

    def took(self, phase: str, seconds: float) -> None:
        self.phases.append(phase)

    def fault(self, reason: str) -> None:
        self.faults.append(reason)

    def breaker(self, state: BreakerState) -> None:
        self.states.append(state)

    def declares(self, declarations: Declarations) -> None:
        self.declared.append(declarations)

    def begins(self) -> None:
        self.engines.clear()

    def batch(self, size: int) -> None:
        self.batches.append(size)

    def engine(self, engine: Engine) -> None:
        self.engines.append(engine)

    def resident(self, size: int) -> None:
        self.sizes.append(size)

    def used(self, cpu: float) -> None:
        self.cpu += cpu

    def restarted(self) -> None:
        self.restarts += 1
