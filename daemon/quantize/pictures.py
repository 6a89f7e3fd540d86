"""Calibration images from a user's recordings: evenly spread over all of them, some held out to check the result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sightd.daemon.analyze.media import Item, MediaError, contents, frames, length
from sightd.daemon.analyze.media import Sequence as MediaSequence
from sightd.plugins.types import Frame, Image

HELD_OUT = 5
"""Every n-th image is held out."""


class CalibrationPictures:
    """About `wanted` images from the sources, evenly spread.

    Iterating, once, yields those to calibrate with; every fifth is added to `held_out` instead. `report` receives a
    line for each file that is left out or cannot be read to its end, and why. Raises MediaError if a source is missing,
    or if too few images can be read.
    """

    def __init__(self, sources: Sequence[Path], wanted: int, report: Callable[[str], None]) -> None:
        held = [contents(source) for source in sources]
        self._sequences = [sequence for one in held for sequence in one.sequences]
        self._report = report
        for line in (line for one in held for line in one.left_out):
            report(line)
        total = sum(length(one) or _frame_count(one) for one in self._sequences)
        self.step = max(1, total // wanted)
        self.expected = -(-total // self.step)
        self.used = 0
        """Number of images that the iteration has yielded."""
        self.held_out: list[Frame] = []

    def __iter__(self) -> Iterator[Image]:
        seen = taken = 0
        for sequence in self._sequences:
            for item in frames(sequence):
                if isinstance(item, MediaError):
                    self._report(str(item))
                    continue
                if seen % self.step == 0:
                    taken += 1
                    if taken % HELD_OUT == 0:
                        self.held_out.append(item.frame)
                    else:
                        self.used += 1
                        yield item.frame.host()
                seen += 1
        if not self.held_out:
            raise MediaError(
                f"only {seen} readable images: calibration requires at least {HELD_OUT}, and 100 for good results"
            )


def _frame_count(sequence: MediaSequence) -> int:
    return sum(isinstance(item, Item) for item in frames(sequence))
