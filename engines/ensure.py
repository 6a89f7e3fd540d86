"""Adds a model to the store: fetches, converts, checks and stores it."""

from __future__ import annotations

import logging
from pathlib import Path

from sightd.engines.convert import CONVERTERS
from sightd.engines.errors import ModelFileError
from sightd.engines.fetch import Fetched, Fetcher
from sightd.engines.lock import locked, scratch_folder
from sightd.engines.model import Model
from sightd.engines.onnx_file import read_io_spec, text
from sightd.engines.store import ModelStore

logger = logging.getLogger(__name__)


def ensure_model(model: Model, store: ModelStore, fetcher: Fetcher) -> Path:
    """Returns the stored file of a model; fetches and converts it first if needed. Only one process fetches it.

    Raises ModelUnavailableError if no source provides it, ConversionError or ModelFileError if the content is not the
    expected model, and EngineError if it cannot be stored.
    """
    if path := store.find(model):
        return path
    with locked(store.directory / f".{model.name}.lock", model.name):
        return store.find(model) or _fetch(model, store, fetcher)


def _fetch(model: Model, store: ModelStore, fetcher: Fetcher) -> Path:
    logger.info("%s: %s, downloading it", model.name, store.problem(model))
    with scratch_folder(store.directory, f".{model.name}.fetch-") as scratch:
        fetched = fetcher.fetch(model.name, model.sources, scratch, store.learnt_pin(model))
        if fetched.learnt:
            logger.warning(
                "%s: not pinned yet; recorded sha256 %s from %s", model.name, fetched.digest.sha256, fetched.origin
            )
        file = _onnx(model, fetched, scratch, fetcher)
        learnt = fetched.digest.sha256 not in {source.sha256 for source in model.sources}
        return store.put(model, file, origin=fetched.origin, source_sha256=fetched.digest.sha256, learnt=learnt)


def _onnx(model: Model, fetched: Fetched, scratch: Path, fetcher: Fetcher) -> Path:
    """Returns the fetched file as ONNX, converted if needed. Checks that a file which is not converted really is
    ONNX."""
    if not model.convert:
        _require_input(model, fetched.path)
        return fetched.path
    fetcher.progress(f"{model.name}: converting to ONNX", 0, None)
    target = scratch / "converted.onnx"
    CONVERTERS[model.convert].convert(fetched.path, target)
    return target


def _require_input(model: Model, path: Path) -> None:
    """Raises ModelFileError unless the file is ONNX and has the model's input; an HTML error page must not be stored as
    a model."""
    inputs = read_io_spec(path).inputs
    if model.input.tensor not in inputs:
        raise ModelFileError(f"{path.name} has the input {text(inputs)}, but {model.name} uses {model.input.tensor!r}")
