"""Adapts the size of the model's input so that painting keeps up with the camera's frame rate."""

from __future__ import annotations

from dataclasses import dataclass, replace

_STEP = 16
"""Lines between two sizes. A multiple of 4, because the model halves its input twice."""
_FULL, _ROOM = 0.9, 0.7
"""Shares of the frame interval: above the first the image is made smaller, below the second larger."""
_SMOOTHING = 0.25
_PATIENCE = 12
"""Frames to observe at one size before it is changed again."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The pace of one camera. Immutable; replaced as a whole. `lines` is the height of the model's input, between
    `least` and `most`. Times in seconds: `interval` between the camera's frames, painted or not, and `shortest` between
    painted frames."""

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
        """Starts at a medium size: too large a size at first would stall the feed."""
        least = max(_STEP, least - least % _STEP)
        most = max(least, most - most % _STEP)
        return cls(least, most, least + (most - least) // 2 // _STEP * _STEP, 1 / max_fps if max_fps else 0.0)

    def after(self, took: float, at: float, seq: int = 0, feeds: int = 1) -> Pace:
        """Returns the pace after painting frame number `seq`, captured at `at` (s), took `took` s; `feeds` cameras are
        painted in turn. The painting time is assumed to grow with the area."""
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
    """Returns the size (width, height) of the model's input for a frame, multiples of 8, at most the frame's size."""
    lines = min(lines, height)
    across = round(width * lines / height)
    return max(8, across - across % 8), max(8, lines - lines % 8)
