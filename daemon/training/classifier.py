"""Trains a custom classifier by transfer learning: a published trunk, with a new last layer for the user's classes.

Features that a model learnt on ImageNet also distinguish other things (Donahue et al. 2014, "DeCAF", arXiv 1310.1531;
Razavian et al. 2014, arXiv 1403.6382), so some twenty images per class suffice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from sightd.daemon.training.errors import TrainingError
from sightd.daemon.training.features import features_of, views_of
from sightd.daemon.training.folders import LabelledPictures
from sightd.daemon.training.softmax_regression import FloatTable, Head, fitted
from sightd.daemon.training.validation import Validation, cross_validated, flattened
from sightd.engines.custom_models import CustomModelMetadata, file_of, put
from sightd.engines.digest import digest_of
from sightd.engines.lock import locked, scratch_folder
from sightd.engines.model import Model
from sightd.engines.onnx_head import write_trunk, write_with_head
from sightd.engines.onnx_session import OnnxRuntimeSession
from sightd.engines.preprocess import prepare
from sightd.engines.progress import Progress
from sightd.engines.store import ModelStore
from sightd.plugins.classifier.scores import softmax
from sightd.plugins.types import Image

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
