"""A face detector's raw outputs as boxes, for those who hold one backend's results against another's."""

from __future__ import annotations

import numpy as np

from sightd.engines.model import Model
from sightd.engines.trt.verify import Boxes, BoxReader, Outputs
from sightd.plugins.face.yunet import decode

_LEAST_SCORE = 0.02


def face_reader(model: Model) -> BoxReader:
    """Reads the outputs of a YuNet that is fed the model's input size; PluginError where they are of another head."""
    spec = model.input

    def read(outputs: Outputs) -> list[Boxes]:
        found = decode(outputs, spec.width, spec.height, _LEAST_SCORE)
        return [Boxes(faces.boxes, faces.scores, np.zeros(len(faces.scores), np.int64)) for faces in found]

    return read
