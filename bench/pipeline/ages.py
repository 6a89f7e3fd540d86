"""Ages of frames when a viewer saw them, and whether they arrived in order. Pure functions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.support.viewer import Seen


@dataclass(frozen=True, slots=True)
class Ages:
    """Glass-to-glass latency in ms: from the creation of a frame to the moment a viewer has decoded it."""

    pictures: int
    p50: float
    p95: float
    most: float

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Ages:
        """Computes the ages from seconds; NaN if there are no frames."""
        ordered = sorted(1000 * age for age in seconds)
        return cls(len(ordered), quantile(ordered, 0.5), quantile(ordered, 0.95), ordered[-1] if ordered else math.nan)

    def __str__(self) -> str:
        return f"p50 {self.p50:.0f}  p95 {self.p95:.0f}  max {self.most:.0f} ms"


def quantile(ordered: Sequence[float], share: float) -> float:
    """Returns the value that a `share` of the values does not exceed (nearest rank); NaN if there are none."""
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def within(seen: Iterable[Seen], begin: float, end: float) -> list[Seen]:
    """Returns the frames that were decoded in a window of the monotonic clock."""
    return [picture for picture in seen if begin <= picture.at < end]


def ages_of(seen: Iterable[Seen]) -> list[float]:
    """Returns the ages in s of the frames whose bar code could be read."""
    return [picture.latency for picture in seen if picture.latency is not None]


def out_of_order(seen: Iterable[Seen]) -> int:
    """Returns how many frames were not newer than the one before."""
    numbers = [picture.bar.number for picture in seen if picture.bar is not None]
    return sum(later <= earlier for earlier, later in itertools.pairwise(numbers))
