"""Runs a detector on single frames, in the way that labels need it: every class, down to weak scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sightd.daemon.tools.label.labelled import LabelError
from sightd.engines.model import Model
from sightd.engines.models.custom_file import with_input_name
from sightd.engines.preprocess import Geometry, feed
from sightd.engines.session import Tensor
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from sightd.plugins.api import BoxReader, FloatArray, Image, IntArray
from sightd.plugins.configuration import registry
from sightd.plugins.geometry.nms import nms

_MOST = 100
_SUPPRESSION = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Detections of one frame, best first: boxes xyxy [n, 4] in its pixels, scores [n], labels [n]."""

    boxes: FloatArray
    scores: FloatArray
    labels: IntArray

    @classmethod
    def of(cls, boxes: NDArray[np.floating], scores: NDArray[np.floating], labels: NDArray[np.integer]) -> Self:
        """Suppresses overlapping candidates as the detector does by default."""
        places, certain, numbers = boxes.astype(np.float32), scores.astype(np.float32), labels.astype(np.int64)
        kept = nms(places, certain, numbers, _SUPPRESSION, limit=_MOST)
        return cls(places[kept], certain[kept], numbers[kept])

    @classmethod
    def read(
        cls, reader: BoxReader, outputs: Mapping[str, Tensor], geometry: Geometry, numbers: NDArray[np.int64]
    ) -> Self:
        """Decodes the raw outputs for one image; `numbers` maps the model's classes to labels, -1 for none."""
        (boxes,) = reader(outputs)
        labels = numbers[boxes.class_ids]
        kept = labels >= 0
        placed = geometry.boxes_to_source(boxes.boxes[kept].astype(np.float32))
        return cls.of(placed, boxes.scores[kept], labels[kept])


class Finder:
    """A detector whose classes are matched with a dataset's by name, ignoring case. One thread; close it."""

    def __init__(
        self, model: Model, file: Path, labels: Sequence[str], threads: int, renamed: Mapping[str, str] | None = None
    ) -> None:
        """`renamed` maps names of the model's classes to labels that are called otherwise. Raises EngineError if the
        file cannot be loaded, LabelError if nothing reads its boxes or a name in `renamed` is unknown."""
        self._input, self.reader = with_input_name(model, file).input, reader_of(model)
        self.numbers = class_numbers(model, labels, renamed or {})
        self._session = OnnxRuntimeSession(file, threads)

    def find(self, image: Image) -> Found:
        """Returns what it finds on a BGR image. Raises EngineError."""
        fed, (geometry,) = feed([image], self._input, self._session.inputs)
        return Found.read(self.reader, self._session.run(fed), geometry, self.numbers)

    def close(self) -> None:
        self._session.close()


def reader_of(model: Model) -> BoxReader:
    """Returns what decodes a detector's outputs. Raises LabelError if there is nothing."""
    reader = registry.box_reader_for(model) if model.role == "detector" else None
    if reader is None:
        raise LabelError(f"{model.name} is a {model.role}, not a detector; see `sightd models list`")
    return reader


def class_numbers(model: Model, labels: Sequence[str], renamed: Mapping[str, str]) -> NDArray[np.int64]:
    """Returns the label of each of the model's classes, -1 for none. Raises LabelError if `renamed` names something
    unknown."""
    wanted = {label.casefold(): number for number, label in enumerate(labels)}
    known = {label.casefold() for label in model.labels}
    for one, other in renamed.items():
        if one.casefold() not in known:
            raise LabelError(f"{model.name} has no class {one!r}; its classes are {', '.join(model.labels[:12])}, …")
        if other.casefold() not in wanted:
            raise LabelError(f"the dataset has no class {other!r}; its classes are {', '.join(labels)}")
    called = {one.casefold(): other.casefold() for one, other in renamed.items()}
    names = [called.get(label.casefold(), label.casefold()) for label in model.labels]
    return np.array([wanted.get(name, -1) for name in names], np.int64)
