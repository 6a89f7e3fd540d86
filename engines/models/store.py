"""Model store: ONNX files on this machine, each with metadata about its origin. Missing ones are fetched, converted,
checked and added."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from sightd.engines.errors import ModelFileError, ModelUnavailableError
from sightd.engines.files import cache_directory, digest_of, locked, scratch_folder
from sightd.engines.model import Model
from sightd.engines.models.convert import CONVERTERS
from sightd.engines.models.fetch import Fetched, Fetcher
from sightd.engines.models.onnx_file import read_io_spec, text


def default_directory(environ: Mapping[str, str]) -> Path:
    """Returns $SIGHTD_CACHE_DIR/models, $CACHE_DIRECTORY/models under systemd, else models in the user's XDG cache."""
    return cache_directory(environ) / "models"


@dataclass(frozen=True, slots=True)
class Record:
    """Metadata of a stored file. `learnt` is True if `source_sha256` was not pinned but learnt on first download."""

    origin: str
    source_sha256: str
    sha256: str
    size: int
    converter: str
    learnt: bool
    stored_at: str


@dataclass(frozen=True, slots=True)
class ModelStore:
    """Files `NAME.onnx` and `NAME.json` in `directory`, which is created on first use."""

    directory: Path

    def path(self, model: Model) -> Path:
        """Returns the path of a model's ONNX file, whether or not it exists."""
        return model.path or self.directory / f"{model.name}.onnx"

    def find(self, model: Model) -> Path | None:
        """Returns the usable file of a model, or None. Reads the whole file to compare its hash."""
        return None if self.problem(model) else self.path(model)

    def verify(self, model: Model) -> Path:
        """Returns the usable file of a model. Raises ModelUnavailableError, which says why it cannot be used."""
        if problem := self.problem(model):
            raise ModelUnavailableError(f"{model.name}: {problem}. Run `sightd models fetch {model.name}`")
        return self.path(model)

    def problem(self, model: Model) -> str:
        """Returns why the stored file of a model cannot be used, or "" if it can."""
        path = self.path(model)
        if not path.is_file():
            return f"not stored in {self.directory}" if model.path is None else f"{path} does not exist"
        if model.path is not None:
            return ""
        record = self.record(model)
        if record is None:
            return f"{path} has no readable origin file next to it"
        if record.converter != converter_of(model):
            return f"{path} was converted by {record.converter or 'nothing'}, but {converter_of(model)} is in use now"
        pins = {source.sha256 for source in model.sources}
        if record.source_sha256 not in pins and not (record.learnt and "" in pins):
            return f"{path} was made from {record.source_sha256}, which is no longer pinned in the catalogue"
        if digest_of(path).sha256 != record.sha256:
            return f"{path} was changed or damaged after it was stored"
        return ""

    def record(self, model: Model) -> Record | None:
        """Returns the metadata of a model's file, or None if it is missing or unreadable."""
        try:
            return Record(**json.loads(self._note(model).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def learnt_pin(self, model: Model) -> str:
        """Returns the SHA-256 learnt from an unpinned source, or "". It is still known after the model file was
        deleted."""
        record = self.record(model)
        return record.source_sha256 if record and record.learnt else ""

    def put(self, model: Model, file: Path, *, origin: str, source_sha256: str, learnt: bool) -> Path:
        """Moves an ONNX `file` (on the same file system) into the store. Readers see either the old or the new file."""
        digest = digest_of(file)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        record = Record(origin, source_sha256, digest.sha256, digest.size, converter_of(model), learnt, now)
        note = file.with_suffix(".note")
        note.write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")
        file.replace(self.path(model))
        note.replace(self._note(model))
        return self.path(model)

    def _note(self, model: Model) -> Path:
        return self.directory / f"{model.name}.json"


def converter_of(model: Model) -> str:
    """Returns name and version of the converter for a model's fetched file, or "" if that file already is ONNX."""
    return f"{model.convert}/{CONVERTERS[model.convert].version}" if model.convert else ""


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
    if model.input.tensor and model.input.tensor not in inputs:
        raise ModelFileError(f"{path.name} has the input {text(inputs)}, but {model.name} uses {model.input.tensor!r}")
