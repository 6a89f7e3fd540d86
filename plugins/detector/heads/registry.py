"""Finds the decoder of a model's head by name, and decodes raw outputs with it to compare two backends."""

from __future__ import annotations

import numpy as np

from sightd.engines.model import Model
from sightd.engines.sessions.tensorrt.verify import Boxes, BoxReader, Outputs
from sightd.plugins.api import PluginError
from sightd.plugins.detector.heads import nanodet, ssd, yolox
from sightd.plugins.detector.heads.decoding import Head

HEADS: dict[str, Head] = {
    "ssd": ssd.decode,
    "yolox": yolox.decode,
    "yolox-decoded": yolox.decode_decoded,
    "nanodet": nanodet.decode,
}


def head_named(name: str, model: str) -> Head:
    """Returns the decoder of that name. Raises PluginError, which lists the known ones."""
    if name not in HEADS:
        raise PluginError(
            f"model {model!r} has head {name!r}, which the detector does not support: use a model whose head is one of "
            + ", ".join(sorted(HEADS))
        )
    return HEADS[name]


_LEAST_SCORE = 0.02


def box_reader(model: Model) -> BoxReader:
    """Returns a reader for the outputs of a catalogue detector. Raises PluginError for an unknown head."""
    head = head_named(model.head, model.name)
    least = np.full(len(model.labels), _LEAST_SCORE, np.float32)

    def read(outputs: Outputs) -> list[Boxes]:
        found = head(outputs, model.input, least)
        return [Boxes(picture.boxes, picture.scores, picture.class_ids) for picture in found]

    return read
