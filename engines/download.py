"""Downloads one file over HTTP(S), with limits on size and time and a check of the content's hash."""

from __future__ import annotations

import http.client
import io
import socket
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sightd.engines.digest import Digest, copy, require
from sightd.engines.errors import EngineError, StorageError, UnreachableError
from sightd.engines.pace import Pace, PacedReader
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


class _PatientTls(http.client.HTTPSConnection):
    """The same over TLS. The certificate is verified against the system's certificate authorities."""

    def __init__(self, *args: Any, pace: Pace, **options: Any) -> None:
        super().__init__(*args, **options)
        self.response_class = partial(_PacedResponse, pace=pace)  # type: ignore[assignment]

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(SILENCE_TIMEOUT)


class _HttpHandler(urllib.request.HTTPHandler):
    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self._pace = pace

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_Patient, pace=self._pace), req)


class _HttpsHandler(urllib.request.HTTPSHandler):
    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self._pace = pace

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_PatientTls, pace=self._pace), req)


def download(url: str, target: Path, *, sha256: str, limit: int, task: str, progress: Progress) -> Digest:
    """Downloads `url` to `target`. Follows redirects and honours the usual proxy variables.

    Raises UnreachableError if the server cannot be reached; EngineError if it answers with an error, stops sending,
    sends too slowly (see `Pace`), closes the connection early or sends more than `limit` bytes; HashMismatchError if
    `sha256` is not empty and does not match; StorageError if `target` cannot be written.
    """
    pace = Pace(limit)
    opener = urllib.request.build_opener(_HttpHandler(pace), _HttpsHandler(pace))
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
