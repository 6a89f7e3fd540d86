"""Playing what is not live in real time, and one continuous time line over repeated plays. Pure: no clock inside."""

from __future__ import annotations


class Pacer:
    """Says how long to wait before a moment of the recording is due.

    Every moment is measured from one fixed start, so that waiting errors do not add up to drift. Who comes late does
    not wait, and catches up; who comes later than `tolerance` seconds (a suspended machine, a stalled disk or
    network) starts anew from there, so that nothing is played in a rush.
    """

    def __init__(self, tolerance: float = 1.0) -> None:
        self._tolerance = tolerance
        self._start: float | None = None

    def wait(self, moment: float, now: float) -> float:
        """Seconds to wait at `now` until `moment` (s of the recording, not falling) is due; 0 where it is late."""
        if self._start is None:
            self._start = now - moment
        ahead = self._start + moment - now
        if ahead < -self._tolerance:
            self._start = now - moment
            return 0.0
        return max(0.0, ahead)


class PresentationTimes:
    """When each picture of a stream is shown, in ticks, by the rule of FFmpeg's own tools (guess_correct_pts).

    Decoding times are taken as long as they went wrong less often than presentation times, and always if only they are
    stated: read as presentation times, those of pictures with B-frames jump back and forth.
    """

    def __init__(self, *, decoding_only: bool = False) -> None:
        """`decoding_only`: the container states no presentation times."""
        self._decoding_only = decoding_only
        self._last_pts = self._last_dts = -(1 << 63)
        self._wrong_pts = self._wrong_dts = 0

    def of(self, pts: int | None, dts: int | None) -> int | None:
        """The time of the next picture that the decoder returned; `dts` is of the packet decoded last. None: it is not
        known, and the picture follows the one before."""
        if self._decoding_only:
            return dts
        if dts is not None:
            self._wrong_dts += dts <= self._last_dts
            self._last_dts = dts
        elif pts is not None:
            self._last_dts = pts
        if pts is not None:
            self._wrong_pts += pts <= self._last_pts
            self._last_pts = pts
        elif dts is not None:
            self._last_pts = dts
        trusted = self._wrong_pts <= self._wrong_dts or dts is None
        return pts if pts is not None and trusted else dts


_SHORTEST_PLAY = 0.25
"""Seconds that one play of a recording lasts at least: a loop of a few frames would do nothing but open the file."""
_STILL = 1.0
"""Seconds for which a recording of a single frame shows it, until it is played again."""


class Timeline:
    """Lays the times of one play after another on one line that never goes back, in seconds from the first.

    A time that is missing, goes back or leaps by more than `longest_gap` (a broken or spliced recording) is taken
    to follow its predecessor by one `interval`.
    """

    def __init__(self, longest_gap: float = 10.0) -> None:
        self._longest_gap = longest_gap
        self._position = 0.0
        self._offset: float | None = None
        self._played = 0
        """Pictures of the current play."""
        self._play_began = 0.0
        self._earliest = 0.0
        """When the current play begins at the earliest."""

    def new_play(self) -> None:
        """The next time belongs to a new play: it follows the last one by one interval, or later if that play was very
        short."""
        if self._played:
            self._earliest = self._play_began + (_STILL if self._played == 1 else _SHORTEST_PLAY)
        self._offset, self._played = None, 0

    def place(self, time: float | None, interval: float) -> float:
        """Where `time` of the current play lies on the line; `interval` is the recording's frame interval."""
        following = self._position + interval if self._earliest or self._played else 0.0
        if not self._played:
            following = max(following, self._earliest)
        position = following if time is None or self._offset is None else time + self._offset
        if not self._position <= position <= self._position + self._longest_gap:
            position = following
        if time is not None and position == following:
            self._offset = following - time
        if not self._played:
            self._play_began = position
        self._position, self._played = position, self._played + 1
        return position
