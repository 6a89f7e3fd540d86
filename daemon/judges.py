"""What an engine of a model is held against ONNX Runtime with, before it is used."""

from __future__ import annotations

from engines.model import Model
from engines.trt.verify import Judge, judge_for
from plugins.detector.reading import box_reader

_DETECTORS = ("detector", "face-detector")


def judge_of(model: Model) -> Judge:
    """The judge of the model's role; for detectors with the decoder of its head."""
    return judge_for(model.role, box_reader(model) if model.role in _DETECTORS else None)
