"""Measures how well two engines of a detector agree on the same images: the cost of other arithmetic, without ground
truth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from sightd.engines.geometry import iou
from sightd.engines.model import Model
from sightd.engines.sessions.engine import Engine
from sightd.plugins.api import Detections, Frame, Results
from sightd.plugins.detector.config import DetectorConfig
from sightd.plugins.detector.plugin import Detector

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
            return "no objects in the images to compare"
        return (
            f"{self.found} of {self.clear} objects found again{_percent(self.found, self.clear)}, "
            f"{self.other_clear - self.grounded} of {self.other_clear} new, mean box overlap {self.overlap:.2f}"
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


def drift(reference: Engine, other: Engine, pictures: Sequence[Frame]) -> str:
    """Returns a sentence: how far the objects that the detector finds with the two engines agree."""
    return str(agreement(zip(detections(reference, pictures), detections(other, pictures), strict=True)))


class _OneEngine:
    """A plug-in's context that provides one engine, whatever is requested."""

    name = "drift"

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def engine(self, choice: Sequence[str | Model]) -> Engine:
        return self._engine


def detections(engine: Engine, pictures: Sequence[Frame]) -> list[Detections]:
    """Returns what the detector finds with an engine on each image, down to a score of `FAINT`."""
    detector = Detector(DetectorConfig(min_score=FAINT))
    detector.open(_OneEngine(engine))
    found = [detector.process([picture], [Results()])[0].get(Detections) for picture in pictures]
    return [one or Detections.none() for one in found]
