"""Measures how well two detectors agree on the same images: the cost of other arithmetic, without ground truth."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from sightd.engines.geometry import iou
from sightd.plugins.api import Detections

CLEAR = 0.4
"""Least score of an object that counts, because it would be drawn."""
FAINT = 0.25
"""Least score of a match in the other result, so that a score that moves slightly across `CLEAR` is not a loss."""
_SAME = 0.5


@dataclass(frozen=True, slots=True)
class Agreement:
    """`clear` objects of the reference, of which the other `found` some; `other_clear` objects of the other, of which
    some are `grounded` in the reference; `overlap` is the mean IoU of the found ones."""

    clear: int
    found: int
    other_clear: int
    grounded: int
    overlap: float

    def __str__(self) -> str:
        if not self.clear and not self.other_clear:
            return "no object on the pictures to compare"
        return (
            f"{self.found} of {self.clear} objects found again{_percent(self.found, self.clear)}, "
            f"{self.other_clear - self.grounded} of {self.other_clear} new, boxes overlap by {self.overlap:.2f}"
        )


def agreement(pairs: Iterable[tuple[Detections, Detections]]) -> Agreement:
    """Compares pairs (reference, other), one per image, with scores down to at least `FAINT`. Objects match if they
    have the same class and an IoU of at least 0.5."""
    clear = found = other_clear = grounded = 0
    overlaps: list[float] = []
    for reference, other in pairs:
        best = _best_overlaps(reference, other)
        clear += len(best)
        found += int((best >= _SAME).sum())
        overlaps += best[best >= _SAME].tolist()
        back = _best_overlaps(other, reference)
        other_clear += len(back)
        grounded += int((back >= _SAME).sum())
    return Agreement(clear, found, other_clear, grounded, float(np.mean(overlaps)) if overlaps else 0.0)


def _best_overlaps(of: Detections, among: Detections) -> np.ndarray:
    """Returns, for each clear object of `of`, the best IoU with a faint object of the same class in `among`, or 0."""
    clear, faint = of.select(of.scores >= CLEAR), among.select(among.scores >= FAINT)
    if not len(clear) or not len(faint):
        return np.zeros(len(clear), np.float32)
    overlaps = iou(clear.boxes, faint.boxes)
    overlaps[clear.class_ids[:, None] != faint.class_ids] = 0
    best: np.ndarray = overlaps.max(axis=1)
    return best


def _percent(part: int, whole: int) -> str:
    return f" ({100 * part / whole:.1f} %)" if whole else ""
