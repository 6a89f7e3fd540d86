"""Custom models made on this machine from catalogue models. They are stored next to the model store."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from sightd.engines.files import digest_of
from sightd.engines.model import Model
from sightd.engines.models.catalog import Catalog

logger = logging.getLogger(__name__)

_FOLDER = "own"


@dataclass(frozen=True, slots=True)
class CustomModelMetadata:
    """Metadata of a custom model: the catalogue model it was made from, how, and its accuracy. `labels` are its classes
    if they differ from those of the base model, and `side` is that of its square input, in pixels, if it does."""

    base: str
    base_sha256: str
    made: str
    accuracy: str
    made_at: str
    labels: Sequence[str] = ()
    side: int = 0
    file: str = ""
    """File name of the model. Model files are never changed; the metadata, which is replaced atomically, says which is
    current."""


def with_custom_models(catalog: Catalog, directory: Path) -> Catalog:
    """Returns the catalogue followed by the custom models; `directory` is that of the model store.

    Skips, with a warning, models whose metadata is unreadable or whose base model is no longer there. The base may be
    another custom model, as that of an int8 version is.
    """
    models = dict(catalog.models)
    origins: dict[Path, CustomModelMetadata] = {}
    for note in sorted((directory / _FOLDER).glob("*.json")):
        try:
            origins[note] = CustomModelMetadata(**json.loads(note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            logger.warning("%s was skipped: unreadable metadata (%s); re-run the command that created it", note, error)
    while ready := [note for note, origin in origins.items() if origin.base in models]:
        for note in ready:
            origin = origins.pop(note)
            models[note.stem] = _model(models[origin.base], note.stem, origin, directory)
    for note, origin in origins.items():
        logger.warning("%s was skipped: its base model %r is not in the catalogue", note, origin.base)
    return Catalog(models)


def file_of(name: str, directory: Path) -> Path:
    """Returns the path for a custom model's file. Creates the folder."""
    folder = directory / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.onnx"


def put(base: Model, name: str, file: Path, origin: CustomModelMetadata, directory: Path) -> Model:
    """Moves `file`, which must be on the same file system, into place as the model `name`. Readers see either the old
    or the new model. The old file is kept until the next `put`, for readers that have just read its metadata."""
    folder = file_of(name, directory).parent
    target = folder / f"{name}.{digest_of(file).sha256[:12]}.onnx"
    origin = replace(origin, file=target.name)
    scratch = file.with_suffix(".note")
    scratch.write_text(json.dumps(asdict(origin), indent=2) + "\n", encoding="utf-8")
    before = _file_named(folder / f"{name}.json")
    file.replace(target)
    scratch.replace(folder / f"{name}.json")
    for old in folder.glob(f"{name}.*onnx"):
        if old.name not in (target.name, before) and _is_of(old, name):
            old.unlink()
    return _model(base, name, origin, directory)


def _file_named(note: Path) -> str:
    """Returns the file named in the metadata, or "" if there is none."""
    try:
        return str(json.loads(note.read_text(encoding="utf-8")).get("file", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def _is_of(file: Path, name: str) -> bool:
    """Returns whether the file belongs to that model, and not to one whose name has the same beginning."""
    return file.name == f"{name}.onnx" or re.fullmatch(r"\.[0-9a-f]{12}\.onnx", file.name[len(name) :]) is not None


def resized(model: Model, side: int) -> Model:
    """Returns the model with a square input of `side` pixels."""
    return replace(model, input=replace(model.input, width=side, height=side))


def _model(base: Model, name: str, origin: CustomModelMetadata, directory: Path) -> Model:
    return replace(
        resized(base, origin.side) if origin.side else base,
        name=name,
        summary=f"{origin.base}, {origin.made}, on this machine",
        accuracy=origin.accuracy,
        sources=(),
        convert="",
        labels=tuple(origin.labels) or base.labels,
        path=directory / _FOLDER / (origin.file or f"{name}.onnx"),
    )
