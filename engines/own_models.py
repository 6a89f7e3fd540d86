"""Networks that were made on this machine of the catalogue's: files in a folder beside the store, named like others."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from sightd.engines.catalog import Catalog
from sightd.engines.digest import digest_of
from sightd.engines.model import Model

logger = logging.getLogger(__name__)

_FOLDER = "own"


@dataclass(frozen=True, slots=True)
class Origin:
    """The note beside an own network: which of the catalogue it was made of, how, and how accurate it is; `labels` are
    its classes where they are others than its base's."""

    base: str
    base_sha256: str
    made: str
    accuracy: str
    made_at: str
    labels: Sequence[str] = ()
    file: str = ""
    """Name of the network's file, which is never changed: the note, replaced whole, says which one is meant."""


def with_own(catalog: Catalog, directory: Path) -> Catalog:
    """The catalogue and, behind its networks, those made here; `directory` is the store's.

    What has no readable note, or was made of a network that the catalogue no longer holds, is left out and warned of.
    """
    models = dict(catalog.models)
    for note in sorted((directory / _FOLDER).glob("*.json")):
        try:
            origin = Origin(**json.loads(note.read_text(encoding="utf-8")))
            models[note.stem] = _model(catalog.models[origin.base], note.stem, origin, directory)
        except (OSError, ValueError, TypeError, KeyError) as error:
            logger.warning(
                "%s is left out: its note is not usable (%s). the command that made it makes it anew", note, error
            )
    return Catalog(models)


def file_of(name: str, directory: Path) -> Path:
    """Where the file of an own network lies; its folder is made."""
    folder = directory / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.onnx"


def put(base: Model, name: str, file: Path, origin: Origin, directory: Path) -> Model:
    """Moves a `file` of the same file system in as the network `name`; readers see the old one or the new one. The old
    one's file stays until the next is put, for those who have just read its note."""
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
    """The file that a note means; "" where there is none."""
    try:
        return str(json.loads(note.read_text(encoding="utf-8")).get("file", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def _is_of(file: Path, name: str) -> bool:
    """Whether it is a file of that network, and not of one whose name begins alike."""
    return file.name == f"{name}.onnx" or re.fullmatch(r"\.[0-9a-f]{12}\.onnx", file.name[len(name) :]) is not None


def _model(base: Model, name: str, origin: Origin, directory: Path) -> Model:
    return replace(
        base,
        name=name,
        summary=f"{origin.base}, {origin.made}, on this machine",
        accuracy=origin.accuracy,
        sources=(),
        convert="",
        labels=tuple(origin.labels) or base.labels,
        path=directory / _FOLDER / (origin.file or f"{name}.onnx"),
    )
