"""Finds the decoder of a model's head by name, and decodes raw outputs with it to compare two backends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial

import numpy as np

from sightd.engines.errors import EngineError
from sightd.engines.files import Version, version_of
from sightd.engines.labels import is_unnamed
from sightd.engines.model import InputSpec, Model
from sightd.engines.models.onnx_file import files_of
from sightd.engines.session import Tensor
from sightd.engines.sessions.engine import Engine
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from sightd.engines.sessions.tensorrt.verify import Boxes, BoxReader, Outputs, reference_pictures
from sightd.plugins.api import FloatArray, PluginError
from sightd.plugins.detector.heads import detr, labelled, nanodet, ssd, yolo, yolox
from sightd.plugins.detector.heads.decoding import Candidates, Head, require_boxes

HEADS: dict[str, Head] = {
    "ssd": ssd.decode,
    "yolox": yolox.decode,
    "yolox-decoded": yolox.decode_decoded,
    "nanodet": nanodet.decode,
    "yolo": yolo.decode,
    "yolov5": yolo.decode_v5,
    "yolo-end-to-end": yolo.decode_end_to_end,
    "yolo-obb": yolo.decode_oriented,
    "yolo-obb-end-to-end": yolo.decode_oriented_end_to_end,
    "yolo-nas": ssd.decode_pixels,
    "detr": detr.decode,
    "rf-detr": detr.decode_rf,
    "detr-labelled": detr.decode_labelled,
    "ultralytics-detr": detr.decode_joined,
    "tf-ssd": labelled.decode_tensorflow,
    "mmdeploy": labelled.decode_mmdeploy,
}
"""By the names of `engines.heads.HEAD_FORMATS`."""

_WITH_SHAPES: dict[str, Callable[..., list[Candidates]]] = {
    "yolo": yolo.decode,
    "yolov5": yolo.decode_v5,
    "yolo-end-to-end": yolo.decode_end_to_end,
}
"""Decoders of formats that have further columns in models of masks or keypoints."""


def head_of(model: Model) -> Head:
    """Returns the decoder of a model's outputs, which also raises PluginError if most of its candidates are no boxes.
    Raises PluginError if no decoder has the name of the model's head."""
    decode = _decoder(model)

    def checked(outputs: Mapping[str, Tensor], spec: InputSpec, min_score: FloatArray) -> list[Candidates]:
        found = decode(outputs, spec, min_score)
        for candidates in found:
            require_boxes(candidates, spec, model.head)
        return found

    return checked


def _decoder(model: Model) -> Head:
    decode = HEADS.get(model.head)
    if decode is None:
        raise PluginError(
            f"model {model.name!r} has head {model.head!r}, which the detector does not support: use a model with one "
            f"of the heads {', '.join(sorted(HEADS))}"
        )
    return partial(_WITH_SHAPES[model.head], extra=model.extra_columns) if model.extra_columns else decode


def scores_for(labels: Sequence[str], least: float) -> FloatArray:
    """Returns `least` for each class [c], and infinity for classes that are never reported."""
    return np.array([np.inf if is_unnamed(label) else least for label in labels], np.float32)


_LEAST_SCORE = 0.02


def box_reader(model: Model) -> BoxReader:
    """Returns a reader for the outputs of a catalogue detector. Raises PluginError for an unknown head."""
    head = head_of(model)
    least = scores_for(model.labels, _LEAST_SCORE)

    def read(outputs: Outputs) -> list[Boxes]:
        found = head(outputs, model.input, least)
        return [Boxes(picture.boxes, picture.scores, picture.class_ids) for picture in found]

    return read


_FAINT = 0.01
"""Low enough that every model has candidates, whose boxes can be judged."""


def wrong_head(model: Model) -> str:
    """Returns what is wrong with the outputs of a user's own file, which is run once on the CPU, or "". A file is not
    run again until it, its weights or its description change."""
    assert model.path is not None
    return _wrong_head(model, tuple(version_of(file) for file in sorted(files_of(model.path))))


@lru_cache(maxsize=64)
def _wrong_head(model: Model, _versions: tuple[Version, ...]) -> str:
    assert model.path is not None
    try:
        session = OnnxRuntimeSession(model.path, 1)
        try:
            require_head(Engine(model, session, ""))
        finally:
            session.close()
    except (EngineError, PluginError) as error:
        return f"{model.path}: {error}"
    return ""


def require_head(engine: Engine) -> None:
    """Runs the model on a generated street scene. Raises PluginError if its outputs are not what its head says, even if
    all objects in them would be too weak to be reported."""
    model = engine.model
    outputs, _ = engine.run(reference_pictures(1))
    head_of(model)(outputs, model.input, scores_for(model.labels, _FAINT))
