"""Pictures out of a user's recordings to calibrate with: spread over all of them, and some kept back to check by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from daemon.analyze.media import MediaError, frames, length, sequences
from plugins.types import Frame, Image

HELD_OUT = 5
"""Every so many-th picture is kept back."""


class CalibrationPictures:
    """About `wanted` pictures out of the sources, evenly spread.

    Iterating, once, gives those to calibrate with; every fifth gathers in `held_out` instead. MediaError where a source
    is missing or broken.
    """

    def __init__(self, sources: Sequence[Path], wanted: int) -> None:
        self._sequences = [sequence for source in sources for sequence in sequences(source)]
        total = sum(length(one) or sum(1 for _ in frames(one)) for one in self._sequences)
        self.step = max(1, total // wanted)
        self.expected = -(-total // self.step)
        self.held_out: list[Frame] = []

    def __iter__(self) -> Iterator[Image]:
        seen = taken = 0
        for sequence in self._sequences:
            for item in frames(sequence):
                if isinstance(item, MediaError):
                    raise item
                if seen % self.step == 0:
                    taken += 1
                    if taken % HELD_OUT == 0:
                        self.held_out.append(item.frame)
                    else:
                        yield item.frame.host()
                seen += 1
        if not self.held_out:
            raise MediaError(f"only {seen} pictures: calibration needs {HELD_OUT} at least, and 100 to be good")
