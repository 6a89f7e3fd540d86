"""An HTTP client of a daemon: over its control socket, or over HTTP(S) with a token."""

from __future__ import annotations

import http.client
import json
import ssl
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from sightd.daemon.serve.control_address import connected
from sightd.engines.text import printable_lines
from sightd.plugins.api import ApiError, UsageError

CONNECT = 5.0
"""Seconds within which a daemon must accept a connection."""
ANSWER = 30.0
"""Seconds within which it must answer, unless a request overrides them."""
MOST_ANSWER = 64 << 20
"""Maximum bytes of an answer, unless a request overrides them."""
_CHUNK = 1 << 16
_MOST_LINE = 16 << 20
"""Maximum bytes of one line of an endless answer."""

Query = Mapping[str, object] | Sequence[tuple[str, object]]


class ControlError(Exception):
    """A daemon could not be queried; the message says why and what to do."""


class NoDaemonError(ControlError):
    """No daemon answers."""


class LateError(ControlError):
    """A daemon did not answer in time; it may still carry out the request."""


class DeniedError(ControlError):
    """A daemon runs, but this user or token is not permitted to do that."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one request. `media_type` is its Content-Type, without parameters."""

    status: int
    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """`target` is path and query as they are sent; names of `headers` are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    data: bytes | None


@dataclass(frozen=True, slots=True)
class SocketEndpoint:
    """A daemon that listens on a control socket."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def headers(self) -> Mapping[str, str]:
        return {}

    def connection(self, timeout: float) -> http.client.HTTPConnection:
        return _UnixConnection(self.path, timeout)


@dataclass(frozen=True, slots=True)
class UrlEndpoint:
    """A daemon's web server; certificates are verified against the authorities of `context`. Neither str nor repr of
    this object contains the token."""

    scheme: str
    host: str
    port: int
    path: str
    context: ssl.SSLContext | None
    headers: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}{self.path}"

    def __repr__(self) -> str:
        return f"UrlEndpoint({self})"

    def connection(self, timeout: float) -> http.client.HTTPConnection:
        if self.context is not None:
            return http.client.HTTPSConnection(self.host, self.port, timeout=timeout, context=self.context)
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)


def url_endpoint(url: str, token: str | None, ca_file: Path | None) -> UrlEndpoint:
    """Returns the endpoint for `url`. Raises UsageError if the address is invalid, or the authorities' file cannot be
    read."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError("--url requires a URL such as https://camera-box.example:8080")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise UsageError("--url must not contain a user, password or query; put the token in a file: --token-file FILE")
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        context = ssl.create_default_context(cafile=ca_file) if parts.scheme == "https" else None
    except ValueError as error:
        raise UsageError(f"--url: {error}") from None
    except OSError as error:  # ssl.SSLError too
        raise UsageError(f"--ca-file {ca_file}: {error.strerror or error}") from error
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return UrlEndpoint(parts.scheme, parts.hostname, port, parts.path.rstrip("/"), context, headers)


def _request(
    method: str, path: str, query: Query, body: object, more_headers: Mapping[str, str] | None = None
) -> Request:
    headers = {"host": "localhost", "x-sightd": "1", **(more_headers or {})}
    data = body if isinstance(body, bytes) else None
    if data is not None:
        headers["content-type"] = "application/octet-stream"
    elif body is not None:
        headers["content-type"], data = "application/json", json.dumps(body).encode()
    return Request(method, path + (f"?{urlencode(query, doseq=True)}" if query else ""), headers, data)


class ApiClient(ABC):
    """Requests to the API, regardless of their transport. Any thread. Methods raise NoDaemonError if no daemon answers,
    LateError if the answer does not arrive in time, DeniedError if this user or token is not permitted, and ApiError
    for every other answer that is not a success."""

    def json(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        body: object = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = ANSWER,
    ) -> Any:
        """Returns the parsed answer; None if it is empty. `body` is sent as JSON, bytes as they are; names of further
        `headers` are in lower case."""
        answer = self.request(method, path, query=query, body=body, headers=headers, timeout=timeout)
        if not answer.data:
            return None
        try:
            return json.loads(answer.data)
        except ValueError:
            raise ControlError(f"{self} did not answer with JSON: is it sightd?") from None

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        body: object = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = ANSWER,
        most: int = MOST_ANSWER,
    ) -> Answer:
        """Returns the whole answer, of at most `most` bytes, within `timeout` seconds."""
        answer = self._exchange(_request(method, path, query, body, headers), timeout, most)
        if not 200 <= answer.status < 300:
            raise self._error(answer)
        return answer

    @abstractmethod
    def _exchange(self, request: Request, timeout: float, most: int) -> Answer:
        """Sends the request and reads its answer."""

    def _error(self, answer: Answer) -> Exception:
        try:
            body = json.loads(answer.data)
        except ValueError:
            body = {}
        body = body if isinstance(body, dict) else {}
        found = body.get("error") or body.get("detail") or body.get("message")
        if isinstance(found, list):  # FastAPI's list of what is invalid in a request
            found = "; ".join(str(one.get("msg", one)) if isinstance(one, dict) else str(one) for one in found)
        message = printable_lines(str(found or f"HTTP status {answer.status}"))
        if answer.status in (401, 403, 429):
            return DeniedError(f"{self}: {message}")
        return ApiError(answer.status, message, body)


class Client(ApiClient):
    """A daemon at an endpoint; opens one connection per request."""

    def __init__(self, endpoint: SocketEndpoint | UrlEndpoint) -> None:
        self.endpoint = endpoint
        self._base = endpoint.path if isinstance(endpoint, UrlEndpoint) else ""

    def __str__(self) -> str:
        return str(self.endpoint)

    def _exchange(self, request: Request, timeout: float, most: int) -> Answer:
        until = time.monotonic() + timeout
        with self._response(request, timeout) as response:
            data = b"".join(self._pieces(response, most, until))
            return Answer(response.status, response.headers.get_content_type(), data)

    @contextmanager
    def lines(self, path: str, *, query: Query = (), silence: float = 60.0) -> Iterator[Iterator[str]]:
        """Yields the lines of an endless answer as they arrive. Raises LateError after `silence` seconds without
        one."""
        with self._response(_request("GET", path, query, None), silence) as response:
            if response.status != 200:
                data = b"".join(self._pieces(response, _CHUNK, time.monotonic() + silence))
                raise self._error(Answer(response.status, response.headers.get_content_type(), data))
            yield self._lines(response)

    def download(
        self, path: str, write: Callable[[bytes], object], *, query: Query = (), silence: float = 60.0
    ) -> None:
        """Passes an answer of any size on to `write`, in pieces. Raises LateError after `silence` seconds without
        one, and what `write` raises."""
        with self._response(_request("GET", path, query, None), silence) as response:
            if response.status != 200:
                data = b"".join(self._pieces(response, _CHUNK, time.monotonic() + silence))
                raise self._error(Answer(response.status, response.headers.get_content_type(), data))
            for piece in self._pieces(response, sys.maxsize, float("inf")):
                write(piece)

    @contextmanager
    def _response(self, request: Request, timeout: float) -> Iterator[http.client.HTTPResponse]:
        headers = {**request.headers, **self.endpoint.headers}
        if isinstance(self.endpoint, UrlEndpoint):
            del headers["host"]  # http.client takes it from the address
        connection = self.endpoint.connection(CONNECT)
        try:
            with self._mapped_errors():
                connection.connect()
                connection.sock.settimeout(timeout)
                connection.request(request.method, self._base + request.target, request.data, headers)
                response = connection.getresponse()
            yield response
        finally:
            connection.close()

    def _pieces(self, response: http.client.HTTPResponse, most: int, until: float) -> Iterator[bytes]:
        read = 0
        while True:
            with self._mapped_errors():
                piece = response.read1(_CHUNK)
                if time.monotonic() > until:
                    raise TimeoutError
                if not piece and response.length:
                    raise http.client.IncompleteRead(b"", response.length)
            if not piece:
                return
            read += len(piece)
            if read > most:
                raise ControlError(f"{self.endpoint} sent more than {most >> 20} MiB")
            yield piece

    def _lines(self, response: http.client.HTTPResponse) -> Iterator[str]:
        line = bytearray()
        while True:
            with self._mapped_errors():
                piece = response.readline(_CHUNK)
            line += piece
            if len(line) > _MOST_LINE:
                raise ControlError(f"{self.endpoint} sent a line of more than {_MOST_LINE >> 20} MiB")
            if piece and not piece.endswith(b"\n"):
                continue
            if not line:
                return
            yield line.decode("utf-8", "replace").rstrip("\r\n")
            line.clear()

    @contextmanager
    def _mapped_errors(self) -> Iterator[None]:
        try:
            yield
        except ssl.SSLCertVerificationError as error:
            message = f"{self.endpoint}: its certificate is not trusted: {error.verify_message} (--ca-file FILE)"
            raise NoDaemonError(message) from error
        except PermissionError as error:
            raise DeniedError(denied(self.endpoint)) from error
        except TimeoutError as error:
            raise LateError(f"{self.endpoint} did not answer in time") from error
        except (OSError, http.client.HTTPException) as error:
            reason = (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__
            raise NoDaemonError(f"no sightd daemon answers at {self.endpoint}: {reason}") from error


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path, self._wait = path, timeout

    def connect(self) -> None:
        self.sock = connected(self._path, self._wait)


def denied(endpoint: object) -> str:
    """Returns what to do if this user may not connect to a control socket."""
    return (
        f"this user is not allowed to connect to the sightd daemon at {endpoint}: use sudo, or give "
        "one of your groups a role with control.groups in its configuration"
    )
