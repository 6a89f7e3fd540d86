"""How far two detectors say the same of the same pictures: what a change of arithmetic costs, without ground truth."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from sightd.plugins.boxes import iou
from sightd.plugins.types import Detections

CLEAR = 0.4
"""From this score on an object counts: it would be drawn."""
FAINT = 0.25
"""From this score on it counts as found by the other one: a score that moves a little across `CLEAR` is no loss."""
_SAME = 0.5


@dataclass(frozen=True, slots=True)
class Agreement:
    """`clear` objects of the reference, `found` of them by the other too; `other_clear` objects of the other,
    `grounded` of them in the reference too; `overlap` is the mean IoU of what was found.
    """

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
    """Of (reference, other) for each picture, both down to `FAINT` at least. The same object: same class, IoU 0.5."""
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
    """For each clear object of one, the IoU of the nearest faint one of the same class; 0 where there is none."""
    clear, faint = of.select(of.scores >= CLEAR), among.select(among.scores >= FAINT)
    if not len(clear) or not len(faint):
        return np.zeros(len(clear), np.float32)
    overlaps = iou(clear.boxes, faint.boxes)
    overlaps[clear.class_ids[:, None] != faint.class_ids] = 0
    best: np.ndarray = overlaps.max(axis=1)
    return best


def _percent(part: int, whole: int) -> str:
    return f" ({100 * part / whole:.1f} %)" if whole else ""
