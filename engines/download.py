"""Downloads one file over HTTP(S), with limits on size and waiting time and a check of the content's hash."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from sightd.engines.digest import Digest, copy, require
from sightd.engines.errors import EngineError, StorageError, UnreachableError
from sightd.engines.progress import Progress

CONNECT_TIMEOUT = 5.0
SILENCE_TIMEOUT = 30.0
_AGENT = "sightd"


class _Patient(http.client.HTTPConnection):
    """Uses a short timeout to connect, and a longer one for a server that has answered."""

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(SILENCE_TIMEOUT)


class _PatientTls(http.client.HTTPSConnection):
    """The same over TLS. The certificate is verified against the system's certificate authorities."""

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(SILENCE_TIMEOUT)


class _HttpHandler(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Patient, req)


class _HttpsHandler(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_PatientTls, req)


def download(url: str, target: Path, *, sha256: str, limit: int, task: str, progress: Progress) -> Digest:
    """Downloads `url` to `target`. Follows redirects and honours the usual proxy variables.

    Raises UnreachableError if the server cannot be reached; EngineError if it answers with an error, stops sending,
    closes the connection early or sends more than `limit` bytes; HashMismatchError if `sha256` is not empty and does
    not match; StorageError if `target` cannot be written.
    """
    opener = urllib.request.build_opener(_HttpHandler, _HttpsHandler)
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
