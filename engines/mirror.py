"""The mirror folder: files that somebody carried to a machine which has no way out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from sightd.engines.cache import expanded
from sightd.engines.digest import Digest, copy, digest_of, require
from sightd.engines.errors import EngineError
from sightd.engines.model import MirrorSource, Model, PackageSource, Source, UrlSource


def default_mirror(environ: Mapping[str, str]) -> Path | None:
    """$SIGHTD_MODEL_MIRROR, None where it is not set."""
    folder = environ.get("SIGHTD_MODEL_MIRROR")
    return expanded(folder) if folder else None


def file_name(source: Source) -> str:
    """The name under which the file of a source lies in a mirror folder: its base name at the source."""
    match source:
        case UrlSource():
            return Path(urlsplit(source.url).path).name
        case PackageSource():
            return Path(source.member).name
        case MirrorSource():
            return source.file


def holds(mirror: Path, model: Model) -> bool:
    """Whether a file of the model's name lies there; whether it is the right one, only its bytes can tell."""
    return any((mirror / file_name(source)).is_file() for source in model.sources)


def carried(model: Model) -> Model:
    """The same model with the mirror folder as its only source: to be had without a network, or not at all."""
    sources = tuple(MirrorSource(file_name(source), source.sha256, source.size) for source in model.sources)
    return replace(model, sources=sources)


def take(mirror: Path, name: str, pin: str, target: Path, *, limit: int) -> Digest:
    """Copies `mirror/name` to `target` if `pin` is its sha256; an empty pin means any bytes.

    EngineError where there is no such file, HashMismatchError where it is another one.
    """
    path = mirror / name
    try:
        got = digest_of(path)
    except FileNotFoundError as error:
        missing = f"no {name} in it" if mirror.is_dir() else "there is no such folder"
        raise EngineError(f"mirror folder {mirror}: {missing}") from error
    if pin:
        require(got, pin, str(path))
    with path.open("rb") as file:
        copied = copy(file, target, limit=limit, advanced=lambda _: None)
    require(copied, got.sha256, f"{path} (it changed while it was read)")
    return copied
