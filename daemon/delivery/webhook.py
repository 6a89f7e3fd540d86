"""Sends events as HTTP requests, signed, on a connection that is kept open."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import http.client
import ssl
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from functools import partial
from urllib.parse import unquote, urlsplit

from sightd.daemon.common.deadline_http import DeadlineConnection
from sightd.daemon.config.delivery import WebhookOptions, event_template
from sightd.daemon.delivery.sink import RefusedError, UnavailableError, body_of
from sightd.daemon.events.event import Event
from sightd.daemon.events.words import in_words

_MAX_ANSWER = 64 * 1024
"""Bytes of an answer that are read, so that its connection can be used again; the content does not matter."""
LONGEST_RETRY_AFTER = 3600.0
"""Seconds: a receiver cannot stop its sink for longer."""
_TEMPORARY = frozenset({408, 425, 429})
"""Statuses of class 4xx that do not refuse the event."""


class Webhook:
    """A `Sink` of POST requests. A 2xx status acknowledges the event; 4xx refuses it, except 408, 425 and 429."""

    idle_interval: float | None = None

    def __init__(self, options: WebhookOptions, instance: str, clock: Callable[[], float] = time.time) -> None:
        """`instance` makes the events' ids unique. `clock` returns the time of signatures, in s since the epoch."""
        url = urlsplit(options.url.get_secret_value())
        self._instance, self._clock, self._timeout = instance, clock, options.timeout
        self._secret = None if options.secret is None else options.secret.get_secret_value().encode()
        self._target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        self._headers = {name: value.get_secret_value() for name, value in options.headers.items()}
        if url.username is not None:
            login = f"{unquote(url.username)}:{unquote(url.password or '')}"
            self._headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
        self._template = None if options.body is None else event_template(options.body)
        self._content_type = "application/json" if options.body is None else options.body.content_type
        ca = None if options.ca is None else str(options.ca)
        tls = partial(ssl.create_default_context, cafile=ca) if url.scheme == "https" else None
        self._connection = DeadlineConnection(url.hostname or "", url.port or (443 if tls else 80), tls)
        self._where = f"{url.scheme}://{self._connection.host}:{self._connection.port}"

    def keep_alive(self) -> None:
        pass

    def send(self, event: Event) -> None:
        body = self._body(event).encode("utf-8", "replace")
        headers = {
            "User-Agent": "sightd",
            **self._headers,
            "Content-Type": self._content_type,
            "Idempotency-Key": f"{self._instance}-{event.id}",
        }
        if self._secret is not None:
            headers["Sightd-Signature"] = signature(self._secret, int(self._clock()), body)
        status, retry_after = self._status(body, headers)
        if 200 <= status < 300:
            return
        if 400 <= status < 500 and status not in _TEMPORARY:
            raise RefusedError(f"{self._where} answered with status {status}")
        redirect = "; redirects are not followed, so configure the final URL" if 300 <= status < 400 else ""
        raise UnavailableError(f"{self._where} answered with status {status}{redirect}", retry_after)

    def close(self) -> None:
        self._connection.close()

    def abort(self) -> None:
        self._connection.abort()

    def _body(self, event: Event) -> str:
        if self._template is None:
            return body_of(event)
        return self._template.render({**event.for_json(), "text": in_words(event), "instance": self._instance})

    def _status(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, float]:
        """Sends a request and returns the answer's status and the seconds to wait. Raises UnavailableError."""
        connection, until = self._connection, time.monotonic() + self._timeout
        while True:
            reused = connection.sock is not None
            try:
                connection.until = until
                connection.request("POST", self._target, body, dict(headers))
                return self._answer(connection.getresponse())
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if reused and isinstance(error, ConnectionError):
                    continue  # the server has closed an idle connection
                raise UnavailableError(f"{self._where}: {self._reason(error)}") from error

    def _answer(self, response: http.client.HTTPResponse) -> tuple[int, float]:
        """Reads the rest of the answer, so that the connection can be used again; otherwise closes it. The status
        counts in any case."""
        complete = False
        with contextlib.suppress(OSError, http.client.HTTPException):
            response.read(_MAX_ANSWER)
            complete = response.isclosed()
        if not complete:
            self._connection.close()
        return response.status, retry_after(response.getheader("Retry-After"), self._clock())

    def _reason(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return f"no complete answer within {self._timeout:g} s"
        if isinstance(error, http.client.HTTPException) and not isinstance(error, ConnectionError):
            return "the answer is not valid HTTP"  # the error's text may quote it
        return (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__


def retry_after(value: str | None, now: float) -> float:
    """Returns the seconds that a Retry-After header asks for, given as seconds or as a date; at most an hour, and 0
    if there is none or it is invalid."""
    text = (value or "").strip()
    seconds = 0.0
    if text.isascii() and text.isdigit():
        seconds = float(text[:9])
    elif text:
        with contextlib.suppress(ValueError, OverflowError):
            seconds = parsedate_to_datetime(text).timestamp() - now
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)


def signature(secret: bytes, at: int, body: bytes) -> str:
    """Returns the value of Sightd-Signature: the time and an HMAC-SHA256, in hex, of "TIME.BODY". A receiver computes
    it again, compares in constant time, and rejects old times."""
    digest = hmac.new(secret, b"%d.%s" % (at, body), hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"
