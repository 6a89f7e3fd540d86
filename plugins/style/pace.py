"""How large a picture the network may be fed, so that the camera's rate is kept."""

from __future__ import annotations

from dataclasses import dataclass, replace

_STEP = 16
"""Lines between two sizes; the network halves twice."""
_FULL, _ROOM = 0.9, 0.7
"""Shares of the time between two frames: above the first the picture becomes smaller, below the second larger."""
_SMOOTHING = 0.25
_PATIENCE = 12
"""Frames to look at a size before it is changed again."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Of one camera. Never changed, only replaced. `lines` is the height of the network's picture, between `least` and
    `most`; times in seconds, `interval` of the camera's frames, whether painted or not, and `shortest` of those that
    may be painted."""

    least: int
    most: int
    lines: int
    shortest: float = 0.0
    took: float = 0.0
    interval: float = 0.0
    last_at: float = float("-inf")
    last_seq: int = 0
    since: int = 0

    @classmethod
    def new(cls, least: int, most: int, max_fps: float | None = None) -> Pace:
        """Begins in the middle: too large a picture at first would hold the feed up."""
        least = max(_STEP, least - least % _STEP)
        most = max(least, most - most % _STEP)
        return cls(least, most, least + (most - least) // 2 // _STEP * _STEP, 1 / max_fps if max_fps else 0.0)

    def after(self, took: float, at: float, seq: int = 0, feeds: int = 1) -> Pace:
        """After the frame of number `seq` captured at `at` (s), whose painting took so long; `feeds` are painted in
        turns. The network's time grows with the area."""
        gap, frames = at - self.last_at, max(1, seq - self.last_seq)
        interval = self.interval if not 0 < gap < 1.5 else _mean(self.interval, gap / frames)
        mean = _mean(self.took, took)
        paced = replace(self, took=mean, interval=interval, last_at=at, last_seq=seq, since=self.since + 1)
        if paced.interval <= 0 or paced.since < _PATIENCE:
            return paced
        load = feeds * paced.took / max(paced.interval, self.shortest)
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
