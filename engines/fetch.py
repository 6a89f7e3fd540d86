"""Fetches files from their sources in order, records why each source failed, and verifies every pinned hash."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sightd.engines import mirror
from sightd.engines.digest import Digest
from sightd.engines.download import download
from sightd.engines.errors import EngineError, ModelUnavailableError, StorageError, UnreachableError
from sightd.engines.model import MirrorSource, PackageSource, Source, UrlSource
from sightd.engines.package import fetch_member
from sightd.engines.progress import Progress

logger = logging.getLogger(__name__)

DEFAULT_MAX_DOWNLOAD = 1 << 30


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file fetched from one of its sources. `learnt` is True if its hash was not known before."""

    path: Path
    origin: str
    digest: Digest
    learnt: bool


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches files. `mirror` is the mirror folder or None; `max_download` limits the size of one file, in bytes."""

    progress: Progress
    mirror: Path | None = None
    max_download: int = DEFAULT_MAX_DOWNLOAD

    def fetch(self, what: str, sources: Sequence[Source], folder: Path, learnt: str = "") -> Fetched:
        """Stores the file from the first source that works in `folder`, which is the caller's scratch space.

        If the mirror folder has a source's exact file, that source is not contacted. `learnt` is the SHA-256 recorded
        when an unpinned source was first used. Raises ModelUnavailableError, which says why each source failed, or
        StorageError if `folder` cannot be written; then no further source is tried.
        """
        failures: list[tuple[Source, Exception]] = []
        for source in sources:
            pin = source.sha256 or learnt
            target = folder / mirror.file_name(source)
            try:
                origin, digest = self._from(what, source, pin, target)
            except StorageError:
                raise
            except (EngineError, OSError) as error:
                logger.info("%s: %s", what, error)
                failures.append((source, error))
                continue
            return Fetched(target, origin, digest, learnt=not pin)
        raise ModelUnavailableError(self._advice(what, failures), _summary(failures))

    def _from(self, what: str, source: Source, pin: str, target: Path) -> tuple[str, Digest]:
        """Takes the file from the mirror folder if its hash matches, otherwise from the source itself."""
        if self.mirror is None:
            return _origin(source), self._from_origin(what, source, pin, target)
        try:
            digest = mirror.take(self.mirror, target.name, pin, target, limit=self.max_download)
        except StorageError:
            raise
        except (EngineError, OSError) as refusal:
            if isinstance(source, MirrorSource):
                raise
            try:
                return _origin(source), self._from_origin(what, source, pin, target)
            except EngineError as error:
                raise type(error)(f"{error}; {refusal}") from error
        return f"mirror folder {self.mirror}", digest

    def _from_origin(self, what: str, source: Source, pin: str, target: Path) -> Digest:
        task, limit = f"{what} from {_origin(source)}", self.max_download
        match source:
            case UrlSource():
                if source.size > limit:
                    raise EngineError(f"{source.size:,} bytes exceed the limit of {limit:,}")
                limit = source.size or limit
                return download(source.url, target, sha256=pin, limit=limit, task=task, progress=self.progress)
            case PackageSource():
                return fetch_member(source, target.parent, task=task, limit=limit, progress=self.progress)
            case MirrorSource():
                raise EngineError("no mirror folder is configured")

    def _advice(self, what: str, failures: Sequence[tuple[Source, Exception]]) -> str:
        names = " or ".join(sorted({mirror.file_name(source) for source, _ in failures}))
        lines = [f"{what} could not be downloaded from " + ("its source:" if len(failures) == 1 else "any source:")]
        lines += [f"  - {_origin(source)}: {error}" for source, error in failures]
        where = (
            f"into the mirror folder {self.mirror}"
            if self.mirror
            else "into a folder and configure it as the mirror folder"
        )
        lines.append(
            f"Without internet access, put {names} {where} (`models.mirror` in the configuration, "
            "SIGHTD_MODEL_MIRROR or --mirror), or make one of the sources reachable"
        )
        return "\n".join(lines)


def _origin(source: Source) -> str:
    match source:
        case UrlSource():
            return urlsplit(source.url).hostname or "the official URL"
        case PackageSource():
            return f"package {source.package} {source.version}"
        case MirrorSource():
            return f"{source.file} in the mirror folder"


def _summary(failures: Sequence[tuple[Source, Exception]]) -> str:
    """Returns in a few words why no source worked. Mentions the mirror folder only if there was no other source."""
    told = [_shortly(source, error) for source, error in failures if not isinstance(source, MirrorSource)]
    return "; ".join(told or ["not in the mirror folder"])


def _shortly(source: Source, error: Exception) -> str:
    if isinstance(error, UnreachableError):
        return "no way to " + ("the package registry" if isinstance(source, PackageSource) else _origin(source))
    return f"{_origin(source)}: {str(error).partition(';')[0]}"
