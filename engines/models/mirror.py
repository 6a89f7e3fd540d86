"""The mirror folder: model files copied by hand to a machine without internet access."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from sightd.engines.errors import EngineError
from sightd.engines.files import Digest, copy, expanded, open_regular, require
from sightd.engines.model import MirrorSource, Model, PackageSource, Source, UrlSource
from sightd.engines.models.pace import Pace, PacedReader


def default_mirror(environ: Mapping[str, str]) -> Path | None:
    """Returns $SIGHTD_MODEL_MIRROR, or None if it is not set."""
    folder = environ.get("SIGHTD_MODEL_MIRROR")
    return expanded(folder) if folder else None


def file_name(source: Source) -> str:
    """Returns the name of a source's file in a mirror folder, which is its base name at the source."""
    match source:
        case UrlSource():
            return Path(urlsplit(source.url).path).name
        case PackageSource():
            return Path(source.member).name
        case MirrorSource():
            return source.file


def holds(mirror: Path, model: Model) -> bool:
    """Returns whether a file with the model's file name is there. Does not check its content."""
    return any((mirror / file_name(source)).is_file() for source in model.sources)


def mirrored(model: Model) -> Model:
    """Returns the same model with the mirror folder as its only source, so that no network is used."""
    sources = tuple(MirrorSource(file_name(source), source.sha256, source.size) for source in model.sources)
    return replace(model, sources=sources)


def take(mirror: Path, name: str, pin: str, target: Path, *, limit: int) -> Digest:
    """Copies `mirror/name` to `target` if its SHA-256 is `pin`; an empty pin accepts any content.

    Raises EngineError if the file does not exist or the folder is too slow (see `Pace`), HashMismatchError if its hash
    differs or it changes while it is read, and OSError if it cannot be read or is not a regular file.
    """
    path = mirror / name
    try:
        pace = Pace(limit)
        with _opened(path, pace) as file:
            got = Digest(hashlib.file_digest(file, "sha256").hexdigest(), pace.received)
    except FileNotFoundError as error:
        missing = f"it does not contain {name}" if mirror.is_dir() else "no such folder"
        raise EngineError(f"mirror folder {mirror}: {missing}") from error
    if pin:
        require(got, pin, str(path))
    with _opened(path, Pace(limit)) as file:
        copied = copy(file, target, limit=limit, advanced=lambda _: None)
    require(copied, got.sha256, f"{path} (the file changed while it was read)")
    return copied


def _opened(path: Path, pace: Pace) -> io.BufferedReader:
    """Opens a file of a folder that may be a slow network share. Raises OSError if it is not a regular file."""
    return io.BufferedReader(PacedReader(open_regular(path), pace))
