"""Decodes a detector's raw outputs to boxes, to compare the results of two backends."""

from __future__ import annotations

import numpy as np

from sightd.engines.model import Model
from sightd.engines.trt.verify import Boxes, BoxReader, Outputs
from sightd.plugins.detector.heads import head_named

_LEAST_SCORE = 0.02


def box_reader(model: Model) -> BoxReader:
    """Returns a reader for the outputs of a catalogue detector. Raises PluginError for an unknown head."""
    head = head_named(model.head, model.name)
    least = np.full(len(model.labels), _LEAST_SCORE, np.float32)

    def read(outputs: Outputs) -> list[Boxes]:
        found = head(outputs, model.input, least)
        return [Boxes(picture.boxes, picture.scores, picture.class_ids) for picture in found]

    return read
