"""Asks an endpoint with an API like OpenAI's about one image: verified, limited in time and size, without redirects."""

from __future__ import annotations

import base64
import contextlib
import email.utils
import http
import http.client
import json
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from enum import StrEnum
from functools import partial
from typing import Any

from sightd.plugins.describe.answer import error_in, text_in
from sightd.plugins.describe.config import DescribeConfig
from sightd.plugins.describe.locality import is_local_address

_CONNECT_TIMEOUT = 10.0
_MAX_ERROR = 4096
"""Maximum bytes that are read of an error's body."""
MAX_RETRY_AFTER = 300.0


class Outcome(StrEnum):
    """How a request ended; values of the label `outcome`."""

    ANSWERED = "answered"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    """No connection, a certificate that is not trusted, or a connection that broke."""
    REFUSED = "refused"
    """By sightd: the endpoint's address is not local, and `allow_remote` is not set."""
    THROTTLED = "throttled"
    """The endpoint asks for fewer requests: status 429 or 503."""
    STATUS = "status"
    """Any other status than 200, redirects included."""
    INVALID = "invalid"
    """The answer is too large, is no chat completion, or has no text."""


class EndpointError(Exception):
    """A request failed. `retry_after`: seconds for which the endpoint asks to send none."""

    def __init__(self, outcome: Outcome, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.outcome, self.retry_after = outcome, retry_after


class _Exchange:
    """One request and its response. `abort` may be called from any thread: both then fail at once."""

    def __init__(self, timeout: float, *, local_only: bool) -> None:
        self._timeout, self._local_only = timeout, local_only
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self.is_aborted = False

    def connected(self, connection: socket.socket) -> None:
        """Takes the connection before anything is sent. Raises EndpointError if it leads to a remote address."""
        address = str(connection.getpeername()[0])
        if self._local_only and not is_local_address(address):
            raise EndpointError(
                Outcome.REFUSED,
                f"{address} is not an address of a private network, so nothing was sent; set allow_remote: true if "
                "images may leave it",
            )
        connection.settimeout(self._timeout)
        with self._lock:
            self._socket = connection
            aborted = self.is_aborted
        if aborted:
            self.abort()

    def abort(self) -> None:
        with self._lock:
            self.is_aborted = True
            if self._socket is not None:
                with contextlib.suppress(OSError):  # it is closed already
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)  # that of TLS would discard its state


class _Connection(http.client.HTTPConnection):
    def __init__(self, *args: Any, exchange: _Exchange, **options: Any) -> None:
        super().__init__(*args, **options)
        self._exchange = exchange

    def connect(self) -> None:
        super().connect()
        self._exchange.connected(self.sock)


class _TlsConnection(_Connection, http.client.HTTPSConnection):
    """The same over TLS."""


class _Handler(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    def __init__(self, exchange: _Exchange, context: ssl.SSLContext) -> None:
        super().__init__()
        self._exchange, self._tls = exchange, context

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_Connection, exchange=self._exchange), req)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_TlsConnection, exchange=self._exchange, context=self._tls), req)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: object) -> None:
        """Follows none: the image would go to a place that the configuration does not name."""


class ChatEndpoint:
    """The endpoint of one configuration. `ask` belongs to one thread, `abort` to any.

    A remote endpoint is reached through the proxy of the usual environment variables, if any; a local one never is.
    """

    def __init__(self, config: DescribeConfig) -> None:
        """Raises OSError if `ca_file` cannot be used."""
        self._config = config
        self._context = config.tls()
        self._exchange: _Exchange | None = None
        self._closed = False

    def ask(self, jpeg: bytes) -> str:
        """Returns the cleaned answer about an image. Raises EndpointError, without the token in its message."""
        exchange = self._exchange = _Exchange(self._config.timeout, local_only=not self._config.allow_remote)
        if self._closed:
            exchange.abort()
        timer = threading.Timer(self._config.timeout, exchange.abort)
        timer.daemon = True
        timer.start()
        try:
            return text_in(self._body(exchange, jpeg))
        except (ValueError, OSError, http.client.HTTPException) as error:
            raise self._failure(error, exchange) from None
        finally:
            timer.cancel()
            self._exchange = None

    def abort(self) -> None:
        """Ends the request in progress and makes all later ones fail."""
        self._closed = True
        if (exchange := self._exchange) is not None:
            exchange.abort()

    def _body(self, exchange: _Exchange, jpeg: bytes) -> bytes:
        proxies: dict[str, str] | None = None if self._config.allow_remote and not self._config.is_local else {}
        opener = urllib.request.build_opener(
            _Handler(exchange, self._context), _NoRedirects(), urllib.request.ProxyHandler(proxies)
        )
        timeout = min(_CONNECT_TIMEOUT, self._config.timeout)
        with opener.open(self._request(jpeg), timeout=timeout) as response:
            body: bytes = response.read(self._config.max_answer + 1)
        if len(body) > self._config.max_answer:
            raise ValueError(f"it is larger than max_answer ({self._config.max_answer:,} bytes)")
        if response.length:
            raise http.client.IncompleteRead(body, response.length)
        return body

    def _request(self, jpeg: bytes) -> urllib.request.Request:
        image = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
        content = [
            {"type": "text", "text": self._config.prompt},
            {"type": "image_url", "image_url": {"url": image}},
        ]
        form: dict[str, object] = {
            "messages": [{"role": "user", "content": content}],
            "max_tokens": self._config.max_tokens,
            "stream": False,
        }
        if self._config.model is not None:
            form["model"] = self._config.model
        headers = {"Content-Type": "application/json", "User-Agent": "sightd"}
        if self._config.token is not None:
            headers["Authorization"] = f"Bearer {self._config.token.get_secret_value()}"
        return urllib.request.Request(self._config.address, json.dumps(form).encode(), headers, method="POST")

    def _failure(self, error: Exception, exchange: _Exchange) -> EndpointError:
        reason = getattr(error, "reason", None) if isinstance(error, urllib.error.URLError) else None
        if exchange.is_aborted or isinstance(error, TimeoutError) or isinstance(reason, TimeoutError):
            return EndpointError(Outcome.TIMEOUT, f"no answer within {self._config.timeout:g} s")
        if isinstance(error, urllib.error.HTTPError):
            with error:
                return self._status(error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            message = f"its certificate is not trusted: {reason.verify_message}; name its authority in ca_file"
            return EndpointError(Outcome.UNREACHABLE, message)
        if isinstance(error, ValueError):
            return EndpointError(Outcome.INVALID, f"the answer cannot be used: {error}")
        return EndpointError(Outcome.UNREACHABLE, f"the connection failed: {reason or error or type(error).__name__}")

    def _status(self, error: urllib.error.HTTPError) -> EndpointError:
        with contextlib.suppress(ValueError):
            name = f"{error.code} {http.HTTPStatus(error.code).phrase}"
            message = f"the endpoint answered {name}{self._explanation(error)}"
            if error.code in (429, 503):
                return EndpointError(Outcome.THROTTLED, message, _seconds(error.headers.get("Retry-After")))
            return EndpointError(Outcome.STATUS, message)
        return EndpointError(Outcome.STATUS, f"the endpoint answered with the unknown status {error.code}")

    def _explanation(self, error: urllib.error.HTTPError) -> str:
        """Returns what the body says, without the token; for a redirect that none is followed."""
        if 300 <= error.code < 400:
            return "; redirects are not followed: correct url"
        try:
            body: bytes = error.read(_MAX_ERROR)
        except (OSError, http.client.HTTPException):
            return ""
        if self._config.token is not None:  # an endpoint may quote it
            body = body.replace(self._config.token.get_secret_value().encode(), b"***")
        return f": {text}" if (text := error_in(body)) else ""


def _seconds(retry_after: str | None) -> float | None:
    """Returns the seconds that a Retry-After header (RFC 9110) asks for, at most MAX_RETRY_AFTER; None without a usable
    one."""
    if retry_after is None:
        return None
    if retry_after.isascii() and retry_after.isdecimal() and len(retry_after) < 10:
        return min(float(retry_after), MAX_RETRY_AFTER)
    try:
        until = email.utils.parsedate_to_datetime(retry_after).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(0.0, until - time.time()), MAX_RETRY_AFTER)
