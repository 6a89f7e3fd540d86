"""A bounded HTTP client for cameras: it limits every wait, header, redirect and host."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from sightd.daemon.capture.errors import Reason, SourceError
from sightd.daemon.capture.web_auth import Authenticator
from sightd.daemon.common.redaction import HTTP

HEADER_BYTES = 128 * 1024
"""Maximum bytes of a response's header."""
_REDIRECTS = 5
_MOST_LOGINS = 2
"""Maximum number of challenges that one request answers."""
_ROOM = 64 * 1024
_UNAUTHORISED, _FORBIDDEN, _NOT_FOUND, _GONE = 401, 403, 404, 410
_AS_WRITTEN = "/?:@!$&'()*+,;=%~|[]"
"""Characters of a path and query that are sent unescaped."""
_MOVED = frozenset({301, 302, 303, 307, 308})


class WebConnection(io.RawIOBase):
    """The bytes of a connection. No operation outlasts its deadline or reads more than it may."""

    def __init__(self, sock: socket.socket, clock: Callable[[], float]) -> None:
        super().__init__()
        self._socket, self._clock = sock, clock
        self._deadline = 0.0
        self._left = 0

    def allow(self, seconds: float, size: int) -> None:
        """Starts an operation that may take `seconds` and read `size` bytes."""
        self._deadline, self._left = self._clock() + seconds, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # it is always called with one
        if self._left <= 0:
            raise SourceError(Reason.TOO_LARGE, "its response header does not end")
        self._wait()
        received = self._socket.recv_into(buffer[: max(1, self._left)])
        self._left -= received
        return received

    def sendall(self, data: bytes) -> None:
        self._wait()
        self._socket.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Returns the reader that `http.client` asks a socket for."""
        return io.BufferedReader(self, _ROOM)

    def close(self) -> None:
        """Does nothing: `WebClient` closes the socket."""

    def close_socket(self) -> None:
        self._socket.close()

    def _wait(self) -> None:
        left = self._deadline - self._clock()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)


class WebResponse:
    """A response whose body is read in pieces. `url` is its address after redirects."""

    def __init__(self, response: http.client.HTTPResponse, wire: WebConnection, url: str, timeout: float) -> None:
        self._response, self._wire, self._timeout = response, wire, timeout
        self._unread = b""
        self.url = url
        self.status = response.status
        self.content_type = (response.getheader("Content-Type") or "").partition(";")[0].strip().lower()
        self.length = response.length
        """Bytes of the body, if the server states them."""
        self.seekable = self.length is not None and (response.getheader("Accept-Ranges") or "").lower() == "bytes"

    def read(self, size: int = _ROOM) -> bytes:
        """Returns at least one byte, and at most `size`; nothing at the end. Raises TimeoutError if nothing arrives
        within the timeout, SourceError if the response is malformed."""
        if self._unread:
            data, self._unread = self._unread[:size], self._unread[size:]
            return data
        self._wire.allow(self._timeout, size + HEADER_BYTES)
        try:
            return self._response.read1(size)
        except (http.client.HTTPException, ValueError) as error:
            raise SourceError(Reason.REFUSED, f"invalid HTTP response: {type(error).__name__}") from None

    def unread(self, data: bytes) -> None:
        """Puts back bytes that were read."""
        self._unread = data + self._unread

    def close(self) -> None:
        self._response.close()

    @property
    def reusable(self) -> bool:
        """Whether the connection can take another request: the body was read to its end."""
        ended = self._response.isclosed() or (self._response.length == 0 and not self._response.chunked)
        return ended and not self._response.will_close

    def header(self, name: str) -> list[str]:
        return self._response.headers.get_all(name) or []


@dataclass(frozen=True, slots=True)
class WebScope:
    """What a camera's address permits: its own host, and `others`, to which redirects and playlists may lead."""

    parts: SplitResult
    others: frozenset[str]

    def check(self, url: str) -> SplitResult:
        """Splits an address that may be requested. Raises SourceError if it may not."""
        try:
            parts = urlsplit(url)
            host, _ = (parts.hostname or "").lower(), parts.port
        except ValueError:
            raise SourceError(Reason.REDIRECT, "to an invalid URL") from None
        if parts.scheme not in HTTP or not host:
            raise SourceError(Reason.REDIRECT, "to a URL that is not http or https")
        if not self.is_own(parts) and host not in self.others:
            raise SourceError(Reason.REDIRECT, f"to the host {host[:64]!a}; add it to `allowed_hosts` if you trust it")
        if self.parts.scheme == "https" and parts.scheme == "http" and self.is_own(parts):
            raise SourceError(Reason.REDIRECT, "from https to http")
        return parts

    def is_own(self, parts: SplitResult) -> bool:
        return (parts.hostname or "").lower() == (self.parts.hostname or "").lower()


class WebClient:
    """HTTP client of one camera, for one request at a time. User and password are sent only to the camera's own host.

    `timeout` is the longest silence, `opening` the longest time until a response begins, in s. Certificates are not
    verified, because those of cameras cannot be.
    """

    def __init__(
        self,
        address: str,
        *,
        timeout: float,
        opening: float,
        allowed_hosts: frozenset[str] = frozenset(),
        clock: Callable[[], float] = time.monotonic,
        basic: bool = True,
    ) -> None:
        """`basic`: whether a password may be sent in clear text, if the camera asks for it so."""
        parts = urlsplit(address)
        self._access = WebScope(parts, allowed_hosts)
        self._timeout, self._opening, self._clock = timeout, opening, clock
        self._auth = Authenticator(unquote(parts.username or ""), unquote(parts.password or ""), basic=basic)
        self._address = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl()
        self._rejected = False
        """Whether the last password sent was rejected."""
        self._deadline = 0.0
        self._kept: tuple[str, WebConnection] | None = None
        self._response: WebResponse | None = None

    def get(self, url: str | None = None, *, first: int = 0, last: int | None = None) -> WebResponse:
        """Requests `url` (by default the camera's address), from byte `first` to `last`. Ends the previous response.

        Raises SourceError, or what a socket raises; see `errors.fault_of`.
        """
        self._deadline = self._clock() + self._opening
        url = urljoin(self._address, url or "")
        ranged = {"Range": f"bytes={first}-{'' if last is None else last}"} if first or last is not None else {}
        for _ in range(_REDIRECTS + 1):
            parts = self._access.check(url)
            response = self._ask(parts, url, ranged)
            if self._access.is_own(parts):
                response = self._logged_in(response, parts, url, ranged)
            if response.status not in _MOVED:
                return self._usable(response, bool(ranged))
            url = _joined(url, next(iter(response.header("Location")), ""))
        raise SourceError(Reason.REDIRECT, f"more than {_REDIRECTS} times")

    def post(self, url: str, body: bytes, content_type: str) -> WebResponse:
        """Sends `body` to `url`. Ends the previous response, and returns the answer whatever its status; a redirect is
        not followed. Raises SourceError, or what a socket raises; see `errors.fault_of`."""
        self._deadline = self._clock() + self._opening
        parts, headers = self._access.check(url), {"Content-Type": content_type}
        response = self._ask(parts, url, headers, body)
        if self._access.is_own(parts):
            response = self._logged_in(response, parts, url, headers, body)
        return response

    def opened(self) -> None:
        """Records that the source is open: from now on a response must begin within the timeout."""
        self._opening = self._timeout

    def close(self) -> None:
        """Ends the response and the connection. Idempotent."""
        if self._response is not None:
            self._response.close()
        if self._kept is not None:
            self._kept[1].close_socket()
        self._response = self._kept = None

    def _logged_in(
        self, response: WebResponse, parts: SplitResult, url: str, headers: dict[str, str], body: bytes | None = None
    ) -> WebResponse:
        """Answers the challenge of a 401. Sends a rejected password again only if the camera says that the nonce was
        stale: cameras lock an account after a few wrong passwords. If the password was accepted before, a 401 without
        that word counts as a stale nonce too."""
        for _ in range(_MOST_LOGINS):
            if response.status != _UNAUTHORISED:
                self._rejected = False
                break
            usable = self._auth.challenged(response.header("WWW-Authenticate"))
            if not usable or (self._rejected and not self._auth.stale):
                break
            response = self._ask(parts, url, headers, body)
            self._rejected = response.status == _UNAUTHORISED
        return response

    def _usable(self, response: WebResponse, ranged: bool) -> WebResponse:
        if response.status in (_UNAUTHORISED, _FORBIDDEN):
            raise SourceError(Reason.UNAUTHORISED, self._auth.why_not)
        if response.status in (_NOT_FOUND, _GONE):
            raise SourceError(Reason.NOT_FOUND)
        if response.status != (206 if ranged else 200):
            raise SourceError(Reason.OTHER, f"the server answered with HTTP status {response.status}")
        return response

    def _ask(self, parts: SplitResult, url: str, headers: dict[str, str], body: bytes | None = None) -> WebResponse:
        """Sends a GET, or with a `body` a POST."""
        target = quote(parts._replace(scheme="", netloc="", fragment="").geturl() or "/", safe=_AS_WRITTEN)
        headers = {**headers, "User-Agent": "sightd", "Accept": "*/*", "Accept-Encoding": "identity"}
        if self._access.is_own(parts) and (authorization := self._authorization(target, body)):
            headers["Authorization"] = authorization
        wire, kept = self._connected(parts)
        try:
            response = self._exchange(wire, parts, target, headers, body)
        except ConnectionError:
            self.close()
            if not kept:
                raise
            wire, _ = self._connected(parts)  # the camera closed the kept connection
            response = self._exchange(wire, parts, target, headers, body)
        self._response = WebResponse(response, wire, url, self._timeout)
        return self._response

    def _authorization(self, target: str, body: bytes | None) -> str | None:
        return self._auth.authorization("GET" if body is None else "POST", target, body or b"")

    def _exchange(
        self, wire: WebConnection, parts: SplitResult, target: str, headers: dict[str, str], body: bytes | None
    ) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
        connection.sock = wire  # has all that http.client needs of a socket
        wire.allow(self._left(), HEADER_BYTES)
        try:
            method = "GET" if body is None else "POST"
            connection.request(method, target, body, headers={"Host": _host_of(parts), **headers})
            return connection.getresponse()
        except http.client.LineTooLong:
            raise SourceError(Reason.TOO_LARGE, "a line of its response header does not end") from None
        except http.client.RemoteDisconnected:
            raise
        except http.client.HTTPException as error:
            if type(error) is http.client.HTTPException:  # raised for more than a hundred headers
                raise SourceError(Reason.TOO_LARGE, "its response has too many headers") from None
            raise SourceError(Reason.NO_VIDEO, f"invalid HTTP response: {type(error).__name__}") from None

    def _connected(self, parts: SplitResult) -> tuple[WebConnection, bool]:
        """Returns a connection to that host, and whether it was used before."""
        target = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        if self._response is not None and self._kept is not None and self._kept[0] == target:
            reusable, wire = self._drained(self._response), self._kept[1]
            if reusable:
                self._response = None
                return wire, True
        self.close()
        wire = self._connect(parts)
        self._kept = target, wire
        return wire, False

    def _drained(self, response: WebResponse) -> bool:
        """Reads a short rest of a response, such as the page of a 401, and returns whether its end was reached. Raises
        TimeoutError if that takes too long."""
        if response.length is not None and response.length <= _ROOM and response.status != 200:
            while not response.reusable and self._left() and response.read():
                pass
        return response.reusable

    def _left(self) -> float:
        """Returns the seconds until the response must have begun. Raises TimeoutError if there are none."""
        left = self._deadline - self._clock()
        if left <= 0:
            raise TimeoutError
        return left

    def _connect(self, parts: SplitResult) -> WebConnection:
        tls = parts.scheme == "https"
        try:
            sock = socket.create_connection((parts.hostname, parts.port or (443 if tls else 80)), self._left())
        except socket.gaierror:
            raise SourceError(Reason.NAME_NOT_RESOLVED) from None
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a body follows its header at once
        if not tls:
            return WebConnection(sock, self._clock)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            return WebConnection(context.wrap_socket(sock, server_hostname=parts.hostname), self._clock)
        except (ssl.SSLError, OSError) as error:
            sock.close()
            if isinstance(error, ssl.SSLError):
                raise SourceError(
                    Reason.OTHER, f"TLS connection failed: {error.reason or type(error).__name__}"
                ) from None
            raise


def _host_of(parts: SplitResult) -> str:
    host = parts.netloc.rpartition("@")[2]
    try:
        return host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        raise SourceError(Reason.NAME_NOT_RESOLVED) from None


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        raise SourceError(Reason.REDIRECT, "to an invalid URL") from None
