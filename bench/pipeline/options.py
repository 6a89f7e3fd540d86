"""Options of all measurements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Options:
    """`seconds` is the length of a window, `turns` how often windows alternate. `minutes`, if given, is the length of
    each window of `latency` and `cameras` instead."""

    model: str
    chain: tuple[str, ...]
    seconds: float
    turns: int
    minutes: float | None
    cameras: tuple[int, ...] | None
    detector_fps: float | None

    @property
    def detector(self) -> dict[str, Any]:
        """The detector's part of the configuration."""
        return {"model": self.model} | ({} if self.detector_fps is None else {"max_fps": self.detector_fps})
