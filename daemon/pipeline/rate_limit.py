"""Rate limit: decides if a plug-in is due on a frame, from its `every` and `max_fps`. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from sightd.plugins.api import PluginConfig
from sightd.plugins.types import Frame


@dataclass(slots=True)
class RateLimit:
    """One per plug-in instance. Remembers, for each camera, the last frame it ran on and when the next is due.

    The next due time advances on a fixed grid, not from the actual time of a late frame, so that the mean rate is
    `max_fps` even if it does not divide the camera's rate.
    """

    every: int
    interval: float
    """Minimum mean time between frames in seconds; 0 for no limit."""
    _last_seq: dict[str, int] = field(default_factory=dict)
    _next_at: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, config: PluginConfig) -> RateLimit:
        return cls(config.every, 1 / config.max_fps if config.max_fps else 0.0)

    def due(self, frame: Frame) -> bool:
        """Whether the plug-in should run on this frame. Changes no state."""
        last = self._last_seq.get(frame.camera)
        if last is None:
            return True
        return frame.seq - last >= self.every and frame.captured_at >= self._next_at[frame.camera]

    def passed(self, frame: Frame) -> None:
        """Records that the plug-in runs on this frame."""
        now = frame.captured_at
        planned = self._next_at.get(frame.camera, now)
        self._next_at[frame.camera] = max(planned, now - self.interval) + self.interval
        self._last_seq[frame.camera] = frame.seq

    def forget(self, camera: str) -> None:
        self._last_seq.pop(camera, None)
        self._next_at.pop(camera, None)
