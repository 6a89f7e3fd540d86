"""Bare stages against the daemon: what the daemon would have used had it cost no more than its stages. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PER_STAGE = {
    "decode": "captured",
    "to BGR": "shown",
    "pre-process": "analysed",
    "network": "analysed",
    "decode boxes, NMS": "analysed",
    "draw": "shown",
    "x264": "encoded",
}
"""The bare stages in the order of a frame's way, and by which of the daemon's counters each is weighed."""


@dataclass(frozen=True, slots=True)
class Window:
    """What the daemon did in some seconds: CPU seconds used and frames by stage (`sightd_frames_total`)."""

    seconds: float
    cpu: float
    frames: Mapping[str, float]

    @property
    def cpu_per_shown(self) -> float:
        """CPU ms for each frame of the output."""
        return 1000 * self.cpu / self.frames["shown"]

    def per_shown(self, counter: str) -> float:
        """How often something was done for each frame of the output."""
        return self.frames[counter] / self.frames["shown"]

    def rate(self, counter: str) -> float:
        """Frames a second."""
        return self.frames[counter] / self.seconds


@dataclass(frozen=True, slots=True)
class Row:
    """One stage: CPU ms each time, times for each output frame, and their product."""

    stage: str
    each: float
    times: float

    @property
    def per_frame(self) -> float:
        return self.each * self.times


def weighed(costs: Mapping[str, float], window: Window) -> list[Row]:
    """The bare stages' costs (CPU ms each time), each as often as the daemon did it for a frame of its output."""
    return [Row(stage, costs[stage], window.per_shown(counter)) for stage, counter in PER_STAGE.items()]


def merged(windows: list[Window]) -> Window:
    """Several windows as one."""
    counters = {counter for window in windows for counter in window.frames}
    return Window(
        sum(window.seconds for window in windows),
        sum(window.cpu for window in windows),
        {counter: sum(window.frames.get(counter, 0.0) for window in windows) for counter in counters},
    )


def mean_costs(runs: list[Mapping[str, float]]) -> dict[str, float]:
    """Each stage's mean over several runs."""
    return {stage: sum(run[stage] for run in runs) / len(runs) for stage in runs[0]}
