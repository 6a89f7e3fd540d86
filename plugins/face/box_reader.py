"""Decodes a face detector's raw outputs to boxes, to compare the results of two backends."""

from __future__ import annotations

import numpy as np

from sightd.engines.model import Model
from sightd.engines.trt.verify import Boxes, BoxReader, Outputs
from sightd.plugins.face.yunet import decode

_LEAST_SCORE = 0.02


def face_reader(model: Model) -> BoxReader:
    """Returns a reader for the outputs of a YuNet at the model's input size; PluginError for another head."""
    spec = model.input

    def read(outputs: Outputs) -> list[Boxes]:
        found = decode(outputs, spec.width, spec.height, _LEAST_SCORE)
        return [Boxes(faces.boxes, faces.scores, np.zeros(len(faces.scores), np.int64)) for faces in found]

    return read
