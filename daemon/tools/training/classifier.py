"""Trains a custom classifier by transfer learning: a published trunk, with a new last layer for the user's classes.

Features that a model learnt on ImageNet also distinguish other things (Donahue et al. 2014, "DeCAF", arXiv 1310.1531;
Razavian et al. 2014, arXiv 1403.6382), so some twenty images per class suffice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from sightd.daemon.tools.training.images import LabelledPictures
from sightd.daemon.tools.training.preflight import TrainingError
from sightd.daemon.tools.training.softmax_regression import (
    FloatTable,
    Head,
    Validation,
    cross_validated,
    fitted,
    flattened,
)
from sightd.engines.classification import cut_out, part_of_picture, softmax
from sightd.engines.files import digest_of, locked, scratch_folder
from sightd.engines.model import Model
from sightd.engines.models.custom_models import CustomModelMetadata, file_of, put
from sightd.engines.models.onnx_edit import FEATURES, write_trunk, write_with_head
from sightd.engines.models.store import ModelStore
from sightd.engines.preprocess import prepare
from sightd.engines.progress import Progress
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from sightd.plugins.api import Image

VIEWS = 4


def views_of(picture: Image, size: tuple[int, int]) -> list[Image]:
    """Returns the image cropped as the classifier plug-in does by default, and whole, each also mirrored."""
    height, width = picture.shape[:2]
    seen = [cut_out(picture, part_of_picture(width, height, area), size) for area in ("centre", "whole")]
    return [seen[0], seen[0][:, ::-1], seen[1], seen[1][:, ::-1]]


def features_of(
    pictures: Iterable[Image],
    trunk: Path,
    model: Model,
    threads: int,
    progress: Callable[[int], None] = lambda done: None,
) -> FloatTable:
    """Returns features float64 [images, VIEWS, n], in order; `trunk` is `model` without its last layer. `progress`
    counts images."""
    session = OnnxRuntimeSession(trunk, threads)
    size, found = (model.input.width, model.input.height), []
    try:
        for done, picture in enumerate(pictures, 1):
            tensor, _ = prepare(views_of(picture, size), model.input)
            runs = [tensor] if session.inputs[model.input.tensor].shape[0] is None else list(tensor[:, None])
            found.append(np.concatenate([session.run({model.input.tensor: run})[FEATURES] for run in runs]))
            progress(done)
    finally:
        session.close()
    return np.array(found, np.float64)


_TOLERANCE = 1e-3
"""Largest difference in a probability allowed between the fitted head and the written model."""


@dataclass(frozen=True, slots=True)
class Trained:
    """The model, as a configuration can name it, and how good it is."""

    model: Model
    validation: Validation


def train_classifier(
    pictures: LabelledPictures, base: Model, name: str, store: ModelStore, threads: int, progress: Progress
) -> Trained:
    """Makes the model `name` from the stored model `base`.

    Raises EngineError if the base is not stored, does not end in a last layer that can be replaced, or the result
    cannot be stored; TrainingError if the written model's output differs from what was learnt.
    """
    base_file, classes = store.verify(base), np.array(pictures.classes, np.int64)
    folder = file_of(name, store.directory).parent
    with locked(folder / f".{name}.lock", name), scratch_folder(folder, f".{name}.train-") as scratch:
        trunk, made = scratch / "trunk.onnx", scratch / "made.onnx"
        write_trunk(base_file, trunk)
        features = features_of(pictures.pictures(), trunk, base, threads, _counting(progress, len(pictures)))
        validation = cross_validated(
            features, classes, pictures.labels, lambda done, total: progress("cross-validation, rounds", done, total)
        )
        head = fitted(*flattened(features, classes), len(pictures.labels), validation.penalty)
        write_with_head(base_file, made, head.matrix.astype(np.float32), head.shift.astype(np.float32))
        _require_faithful(made, base, head, next(pictures.pictures()), features[0, 0], threads)
        origin = CustomModelMetadata(
            base=base.name,
            base_sha256=digest_of(base_file).sha256,
            made=f"{len(pictures.labels)} classes, trained on {len(pictures)} images",
            accuracy=f"{validation.accuracy:.1%} (cross-validated)",
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
            labels=pictures.labels,
        )
        with locked(folder / ".lock", name):
            model = put(replace(base, head="logits"), name, made, origin, store.directory)
    return Trained(model, validation)


def _counting(progress: Progress, total: int) -> Callable[[int], None]:
    return lambda done: progress("features, pictures", done, total)


def _require_faithful(made: Path, base: Model, head: Head, picture: Image, features: FloatTable, threads: int) -> None:
    """Raises TrainingError unless the model's output for an image is the head's output for its features."""
    session = OnnxRuntimeSession(made, threads)
    try:
        tensor, _ = prepare(views_of(picture, (base.input.width, base.input.height))[:1], base.input)
        (logits,) = session.run({base.input.tensor: tensor}).values()
    finally:
        session.close()
    off = float(np.abs(softmax(logits) - head.probabilities(features[None])).max())
    if not off < _TOLERANCE:
        raise TrainingError(
            f"the exported model differs from the trained one (by {off:.2g}): not stored. This is a bug "
            f"in sightd or {base.name}; please report it"
        )
