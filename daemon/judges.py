"""Selects the accuracy check a newly built engine must pass against ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sightd.engines.model import Model
from sightd.engines.trt.verify import BoxReader, Judge, judge_for
from sightd.plugins.detector.reading import box_reader
from sightd.plugins.face.reading import face_reader

_READERS: Mapping[str, Callable[[Model], BoxReader]] = {"detector": box_reader, "face-detector": face_reader}


def judge_of(model: Model) -> Judge:
    """Returns the verifier for the model's role; for detectors it includes the decoder of the model's output head."""
    reader = _READERS.get(model.role)
    return judge_for(model.role, None if reader is None else reader(model))
