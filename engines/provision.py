"""Putting a network into the store: fetch, convert, check, keep."""

from __future__ import annotations

import logging
from pathlib import Path

from sightd.engines.convert import CONVERTERS
from sightd.engines.errors import ModelFileError
from sightd.engines.fetch import Fetched, Fetcher
from sightd.engines.lock import locked, scratch_folder
from sightd.engines.model import Model
from sightd.engines.onnx_file import read_ends, text
from sightd.engines.store import ModelStore

logger = logging.getLogger(__name__)


def provide(model: Model, store: ModelStore, fetcher: Fetcher) -> Path:
    """The stored file of a model, fetched and converted if it is not there; two processes fetch it once.

    ModelUnavailableError where no source gives it, ConversionError or ModelFileError where what came is another
    thing, EngineError where it cannot be stored.
    """
    if path := store.find(model):
        return path
    with locked(store.directory / f".{model.name}.lock", model.name):
        return store.find(model) or _fetch(model, store, fetcher)


def _fetch(model: Model, store: ModelStore, fetcher: Fetcher) -> Path:
    logger.info("%s: %s, fetching it", model.name, store.problem(model))
    with scratch_folder(store.directory, f".{model.name}.fetch-") as scratch:
        fetched = fetcher.fetch(model.name, model.sources, scratch, store.learnt_pin(model))
        if fetched.learnt:
            logger.warning(
                "%s: no pin was known; learnt sha256 %s from %s", model.name, fetched.digest.sha256, fetched.origin
            )
        file = _onnx(model, fetched, scratch, fetcher)
        learnt = fetched.digest.sha256 not in {source.sha256 for source in model.sources}
        return store.put(model, file, origin=fetched.origin, source_sha256=fetched.digest.sha256, learnt=learnt)


def _onnx(model: Model, fetched: Fetched, scratch: Path, fetcher: Fetcher) -> Path:
    """The fetched file as ONNX, known to be one."""
    if not model.convert:
        _require_input(model, fetched.path)
        return fetched.path
    fetcher.progress(f"{model.name}: converting to ONNX", 0, None)
    target = scratch / "converted.onnx"
    CONVERTERS[model.convert].convert(fetched.path, target)
    return target


def _require_input(model: Model, path: Path) -> None:
    """ModelFileError unless the file is ONNX and has the model's input: an error page must not become a network."""
    inputs = read_ends(path).inputs
    if model.input.tensor not in inputs:
        raise ModelFileError(f"{path.name} takes {text(inputs)}, but {model.name} is fed {model.input.tensor!r}")
