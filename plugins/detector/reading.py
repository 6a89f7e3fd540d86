"""A detector's raw outputs as boxes, for those who hold one backend's results against another's."""

from __future__ import annotations

import numpy as np

from sightd.engines.model import Model
from sightd.engines.trt.verify import Boxes, BoxReader, Outputs
from sightd.plugins.detector.heads import head_named

_LEAST_SCORE = 0.02


def box_reader(model: Model) -> BoxReader:
    """Reads the outputs of a detector of the catalogue; PluginError for a head that there is no decoder of."""
    head = head_named(model.head, model.name)
    least = np.full(len(model.labels), _LEAST_SCORE, np.float32)

    def read(outputs: Outputs) -> list[Boxes]:
        found = head(outputs, model.input, least)
        return [Boxes(picture.boxes, picture.scores, picture.class_ids) for picture in found]

    return read
