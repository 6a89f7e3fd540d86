"""Weighs bare stages by how often the daemon ran them: the daemon's cost without overhead. Pure functions."""

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
"""The bare stages in pipeline order, and the daemon's counter by which each is weighed."""


@dataclass(frozen=True, slots=True)
class Window:
    """What the daemon did in a window: CPU seconds used, and frames by stage (`sightd_frames_total`)."""

    seconds: float
    cpu: float
    frames: Mapping[str, float]

    @property
    def cpu_per_shown(self) -> float:
        """CPU ms per output frame."""
        return 1000 * self.cpu / self.frames["shown"]

    def per_shown(self, counter: str) -> float:
        """Returns how often a stage ran per output frame."""
        return self.frames[counter] / self.frames["shown"]

    def rate(self, counter: str) -> float:
        """Returns frames per second at a stage."""
        return self.frames[counter] / self.seconds


@dataclass(frozen=True, slots=True)
class Row:
    """One stage: CPU ms per call, calls per output frame, and their product."""

    stage: str
    each: float
    times: float

    @property
    def per_frame(self) -> float:
        return self.each * self.times


def weighed(costs: Mapping[str, float], window: Window) -> list[Row]:
    """Weighs the bare stages' costs (CPU ms per call) by how often the daemon ran each for one output frame."""
    return [Row(stage, costs[stage], window.per_shown(counter)) for stage, counter in PER_STAGE.items()]


def merged(windows: list[Window]) -> Window:
    """Merges several windows into one."""
    counters = {counter for window in windows for counter in window.frames}
    return Window(
        sum(window.seconds for window in windows),
        sum(window.cpu for window in windows),
        {counter: sum(window.frames.get(counter, 0.0) for window in windows) for counter in counters},
    )


def mean_costs(runs: list[Mapping[str, float]]) -> dict[str, float]:
    """Returns each stage's mean over several runs."""
    return {stage: sum(run[stage] for run in runs) / len(runs) for stage in runs[0]}
