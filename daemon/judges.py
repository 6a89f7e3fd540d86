"""What an engine of a model is held against ONNX Runtime with, before it is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sightd.engines.model import Model
from sightd.engines.trt.verify import BoxReader, Judge, judge_for
from sightd.plugins.detector.reading import box_reader
from sightd.plugins.face.reading import face_reader

_READERS: Mapping[str, Callable[[Model], BoxReader]] = {"detector": box_reader, "face-detector": face_reader}


def judge_of(model: Model) -> Judge:
    """The judge of the model's role; for detectors with the decoder of its head."""
    reader = _READERS.get(model.role)
    return judge_for(model.role, None if reader is None else reader(model))
