"""Selects the accuracy check a newly built engine must pass against ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sightd.engines.model import Model
from sightd.engines.trt.verify import BoxReader, Verifier, verifier_for
from sightd.plugins.detector.box_reader import box_reader
from sightd.plugins.face.box_reader import face_reader

_READERS: Mapping[str, Callable[[Model], BoxReader]] = {"detector": box_reader, "face-detector": face_reader}


def verifier_of(model: Model) -> Verifier:
    """Returns the verifier for the model's role; for detectors it includes the decoder of the model's output head."""
    reader = _READERS.get(model.role)
    return verifier_for(model.role, None if reader is None else reader(model))
