"""Measures what a model lost by int8, on images that its calibration has not seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sightd.engines.engine import Engine
from sightd.engines.model import Model
from sightd.plugins.detector import Detector
from sightd.plugins.detector.agreement import FAINT, agreement
from sightd.plugins.detector.config import DetectorConfig
from sightd.plugins.types import Detections, Frame, Results


def drift(reference: Engine, other: Engine, pictures: Sequence[Frame]) -> str:
    """Returns a sentence: for detectors how far their objects agree, for others how similar the outputs are
    (cosine)."""
    if reference.model.role == "detector":
        pairs = zip(detections(reference, pictures), detections(other, pictures), strict=True)
        return f"compared with fp32 on {len(pictures)} images: {agreement(pairs)}"
    cosine = min(_cosine(reference, other, picture) for picture in pictures)
    return f"compared with fp32 on {len(pictures)} images: cosine of the outputs at least {cosine:.4f}"


class _OneEngine:
    """A plug-in's context that provides one engine, whatever is asked for."""

    name = "drift"

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def engine(self, choice: Sequence[str | Model]) -> Engine:
        return self._engine


def detections(engine: Engine, pictures: Sequence[Frame]) -> list[Detections]:
    """Returns what the detector finds with an engine on each image, down to a score of `agreement.FAINT`."""
    detector = Detector(DetectorConfig(min_score=FAINT))
    detector.open(_OneEngine(engine))
    found = [detector.process([picture], [Results()])[0].get(Detections) for picture in pictures]
    return [one or Detections.none() for one in found]


def _cosine(reference: Engine, other: Engine, picture: Frame) -> float:
    """Returns the lowest cosine of all outputs."""
    one, two = (engine.run([picture.host()])[0] for engine in (reference, other))
    return min(_between(one[name].ravel(), two[name].ravel()) for name in one)


def _between(a: np.ndarray, b: np.ndarray) -> float:
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norms if norms else float(not a.any() and not b.any())
