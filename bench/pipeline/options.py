"""What all measurements are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Options:
    """`seconds` is a window's length, `turns` how often windows alternate; `minutes`, where given, is how long the
    latency of each number of cameras is watched instead."""

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
