"""How large a picture the network may be fed, so that the camera's rate is kept."""

from __future__ import annotations

from dataclasses import dataclass, replace

_STEP = 16
"""Lines between two sizes; the network halves twice."""
_FULL, _ROOM = 0.9, 0.6
"""Shares of the time between two frames: above the first the picture becomes smaller, below the second larger."""
_SMOOTHING = 0.25
_PATIENCE = 12
"""Frames to look at a size before it is changed again."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Of one camera. Never changed, only replaced. `lines` is the height of the network's picture, between `least` and
    `most`; times in seconds."""

    least: int
    most: int
    lines: int
    took: float = 0.0
    interval: float = 0.0
    last_at: float = float("-inf")
    since: int = 0

    @classmethod
    def new(cls, least: int, most: int) -> Pace:
        """Begins in the middle: too large a picture at first would hold the feed up."""
        least = max(_STEP, least - least % _STEP)
        most = max(least, most - most % _STEP)
        return cls(least, most, least + (most - least) // 2 // _STEP * _STEP)

    def after(self, took: float, at: float) -> Pace:
        """After a frame captured at `at` (s) whose painting took so long. The network's time grows with the area."""
        gap = at - self.last_at
        interval = self.interval if not 0 < gap < 1.5 else _mean(self.interval, gap)
        paced = replace(self, took=_mean(self.took, took), interval=interval, last_at=at, since=self.since + 1)
        if paced.interval <= 0 or paced.since < _PATIENCE:
            return paced
        load = paced.took / paced.interval
        if load > _FULL:
            return paced._of(int(paced.lines * max(0.5, (0.75 / load) ** 0.5)))
        larger = paced.lines + _STEP
        if load * (larger / paced.lines) ** 2 < _ROOM:
            return paced._of(larger)
        return paced

    def _of(self, lines: int) -> Pace:
        lines = min(max(lines - lines % _STEP, self.least), self.most)
        if lines == self.lines:
            return replace(self, since=0)
        return replace(self, lines=lines, took=self.took * (lines / self.lines) ** 2, since=0)


def _mean(old: float, new: float) -> float:
    return new if old == 0.0 else old + _SMOOTHING * (new - old)


def size_for(width: int, height: int, lines: int) -> tuple[int, int]:
    """Width and height of the network's picture, multiples of 8, for a frame; never larger than the frame."""
    lines = min(lines, height)
    across = round(width * lines / height)
    return max(8, across - across % 8), max(8, lines - lines % 8)
