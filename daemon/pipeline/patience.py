"""Whether the output waits for a frame's own analysis, or shows it at once with what plug-ins predict."""

from __future__ import annotations

from dataclasses import dataclass

_ENTER = 0.6
_LEAVE = 0.85
_SMOOTHING = 0.1
_OUTAGE = 1.5
"""Seconds between frames from which on it may have been an outage, which says nothing of the camera's rate."""


@dataclass(slots=True)
class Patience:
    """Decides from measured times alone; pure. One a camera, used by its output thread only.

    Waiting shows each frame with the boxes found on that very frame, but costs the analysis' time, and must leave
    room in the frame interval for drawing and encoding, or the output falls behind the camera. So it waits while
    analysis and output together take less than a part of the interval, with a gap between the limits against flapping.
    `always` is for chains that replace the picture, where there is nothing to show before.
    """

    always: bool = False
    waiting: bool = False
    interval: float = 0.0
    """Mean time between frames, s."""
    output: float = 0.0
    """Mean time to draw and encode a frame, s."""
    _last_gap: float = 0.0

    def saw_frame(self, since_last: float) -> None:
        """A frame came so many seconds after the last. One long gap is an outage, several in a row a slow camera."""
        if since_last < _OUTAGE or self._last_gap >= _OUTAGE:
            self.interval = _mean(self.interval, since_last)
        self._last_gap = since_last

    def saw_output(self, took: float) -> None:
        self.output = _mean(self.output, took)

    def decide(self, analysis: float) -> float:
        """How many seconds to wait for a frame whose analysis should take `analysis` seconds; 0 is not at all."""
        if self.always:
            return 2.0
        need = analysis + self.output
        limit = _LEAVE if self.waiting else _ENTER
        self.waiting = analysis > 0.0 and need <= limit * self.interval
        return max(0.0, self.interval - self.output) if self.waiting else 0.0


def _mean(old: float, new: float) -> float:
    return new if old == 0.0 else old + _SMOOTHING * (new - old)
