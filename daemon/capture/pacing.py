"""Plays recordings in real time, on one continuous timeline over repeated plays. Pure: callers pass the time."""

from __future__ import annotations


class Pacer:
    """Computes how long to wait until a moment of the recording is due.

    Every moment is measured from one fixed start, so that waiting errors do not accumulate. A caller that is late does
    not wait, and so catches up; one that is more than `tolerance` seconds late (a suspended machine, a stalled disk or
    network) moves the start, so that nothing is played in a rush.
    """

    def __init__(self, tolerance: float = 1.0) -> None:
        self._tolerance = tolerance
        self._start: float | None = None

    def wait(self, moment: float, now: float) -> float:
        """Returns the seconds to wait at `now` until `moment` (s of the recording, never decreasing) is due; 0 if it is
        late."""
        if self._start is None:
            self._start = now - moment
        ahead = self._start + moment - now
        if ahead < -self._tolerance:
            self._start = now - moment
            return 0.0
        return max(0.0, ahead)


class PresentationTimes:
    """Determines the presentation time of each frame, in ticks, by the rule of FFmpeg's own tools (guess_correct_pts).

    Decoding times are used while they have been wrong less often than presentation times, and always if the container
    states only them: read as presentation times, they would jump back and forth with B-frames.
    """

    def __init__(self, *, decoding_only: bool = False) -> None:
        """`decoding_only`: the container states no presentation times."""
        self._decoding_only = decoding_only
        self._last_pts = self._last_dts = -(1 << 63)
        self._wrong_pts = self._wrong_dts = 0

    def of(self, pts: int | None, dts: int | None) -> int | None:
        """Returns the time of the next frame from the decoder; `dts` is that of the packet decoded last. None if the
        time is unknown and the frame simply follows the one before."""
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
"""Minimum seconds of one play of a recording: looping a few frames would do nothing but reopen the file."""
_STILL = 1.0
"""Seconds for which a recording of a single frame shows it before it is played again."""


class Timeline:
    """Maps the times of successive plays to one timeline that never goes back, in seconds from the first.

    A time that is missing, goes back or jumps by more than `longest_gap` s (a broken or spliced recording) is assumed
    to follow its predecessor by one `interval`.
    """

    def __init__(self, longest_gap: float = 10.0) -> None:
        self._longest_gap = longest_gap
        self._position = 0.0
        self._offset: float | None = None
        self._played = 0
        """Frames of the current play."""
        self._play_began = 0.0
        self._earliest = 0.0
        """Earliest position on the timeline at which the current play may begin."""

    def new_play(self) -> None:
        """Starts a new play. Its first time follows the last one by one interval, or later if the last play was very
        short."""
        if self._played:
            self._earliest = self._play_began + (_STILL if self._played == 1 else _SHORTEST_PLAY)
        self._offset, self._played = None, 0

    def place(self, time: float | None, interval: float) -> float:
        """Returns the position of `time` (of the current play) on the timeline; `interval` is the recording's frame
        interval in s."""
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
