"""The networks on this machine: ONNX files, each with a note of where its bytes came from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from sightd.engines.cache import cache_directory
from sightd.engines.convert import CONVERTERS
from sightd.engines.digest import digest_of
from sightd.engines.errors import ModelUnavailableError
from sightd.engines.model import Model


def default_directory(environ: Mapping[str, str]) -> Path:
    """$SIGHTD_CACHE_DIR/models, $CACHE_DIRECTORY/models under systemd, else models in the user's XDG cache."""
    return cache_directory(environ) / "models"


@dataclass(frozen=True, slots=True)
class Record:
    """The note beside a stored file. `learnt` says that `source_sha256` was not pinned but learnt on first contact."""

    origin: str
    source_sha256: str
    sha256: str
    size: int
    converter: str
    learnt: bool
    stored_at: str


@dataclass(frozen=True, slots=True)
class ModelStore:
    """Files `NAME.onnx` and `NAME.json` in `directory`, which is made on first use."""

    directory: Path

    def path(self, model: Model) -> Path:
        """Where the ONNX file of a model lies, or would lie."""
        return model.path or self.directory / f"{model.name}.onnx"

    def find(self, model: Model) -> Path | None:
        """The usable file of a model; None where there is none. Reads the whole file to compare its hash."""
        return None if self.problem(model) else self.path(model)

    def verify(self, model: Model) -> Path:
        """The usable file of a model; ModelUnavailableError says why it is not."""
        if problem := self.problem(model):
            raise ModelUnavailableError(f"{model.name}: {problem}. `sightd models fetch {model.name}` fetches it")
        return self.path(model)

    def problem(self, model: Model) -> str:
        """Why the stored file of a model cannot be used; empty where it can."""
        path = self.path(model)
        if not path.is_file():
            return f"not stored in {self.directory}" if model.path is None else f"there is no file {path}"
        if model.path is not None:
            return ""
        record = self.record(model)
        if record is None:
            return f"no readable note of its origin beside {path}"
        if record.converter != converter_of(model):
            return f"{path} was converted by {record.converter or 'nothing'}, now {converter_of(model)} is in use"
        pins = {source.sha256 for source in model.sources}
        if record.source_sha256 not in pins and not (record.learnt and "" in pins):
            return f"{path} was made from {record.source_sha256}, which is no longer among the catalogue's pins"
        if digest_of(path).sha256 != record.sha256:
            return f"{path} was changed or damaged since it was stored"
        return ""

    def record(self, model: Model) -> Record | None:
        """The note beside the file of a model; None where it is missing or not readable."""
        try:
            return Record(**json.loads(self._note(model).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def learnt_pin(self, model: Model) -> str:
        """The sha256 that was learnt of a source without a pin; it outlives the file. Empty where there is none."""
        record = self.record(model)
        return record.source_sha256 if record and record.learnt else ""

    def put(self, model: Model, file: Path, *, origin: str, source_sha256: str, learnt: bool) -> Path:
        """Moves an ONNX `file` (on the same file system) into the store; readers see the old one or the new one."""
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
    """Name and version of what makes ONNX of a model's fetched file; empty where it is ONNX already."""
    return f"{model.convert}/{CONVERTERS[model.convert].version}" if model.convert else ""
