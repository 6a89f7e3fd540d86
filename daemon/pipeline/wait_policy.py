"""Decides whether the output waits for a frame's own analysis or shows it at once with predicted results."""

from __future__ import annotations

from dataclasses import dataclass

_ENTER = 0.6
_LEAVE = 0.85
_SMOOTHING = 0.1
_OUTAGE = 1.5
"""Seconds between frames from which the gap may be an outage, which says nothing about the camera's rate."""


@dataclass(slots=True)
class WaitPolicy:
    """Decides from measured times only; pure. One per camera, used only by its output thread.

    Waiting shows each frame with the boxes found on that very frame, but costs the time of the analysis, and must leave
    room in the frame interval for drawing and encoding, or the output falls behind the camera. So it waits only if
    analysis and output together take less than a fraction of the interval, with hysteresis against flapping. `always`
    is for chains that replace or redact the image: they have nothing to show earlier.
    """

    always: bool = False
    waiting: bool = False
    interval: float = 0.0
    """Mean time between frames, s; 0 until it is known."""
    output: float = 0.0
    """Mean time to draw and encode a frame, s."""
    _last_gap: float = 0.0

    def saw_frame(self, since_last: float) -> None:
        """Records the seconds since the last frame. One long gap is an outage, several in a row are a slow camera."""
        if since_last < _OUTAGE or self._last_gap >= _OUTAGE:
            self.interval = _mean(self.interval, since_last)
        self._last_gap = since_last

    def saw_output(self, took: float) -> None:
        self.output = _mean(self.output, took)

    def decide(self, analysis: float) -> float:
        """Returns how many seconds to wait for a frame whose analysis should take `analysis` seconds; 0: do not
        wait."""
        if self.always:
            return 2.0
        need = analysis + self.output
        limit = _LEAVE if self.waiting else _ENTER
        self.waiting = analysis > 0.0 and need <= limit * self.interval
        return max(0.0, self.interval - self.output) if self.waiting else 0.0


def _mean(old: float, new: float) -> float:
    return new if old == 0.0 else old + _SMOOTHING * (new - old)
