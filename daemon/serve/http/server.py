"""Runs uvicorn on its own thread and socket, with a stop that no viewer can delay."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import uvicorn
from fastapi import FastAPI

from sightd.daemon.config.model import Http, Tls
from sightd.daemon.serve.errors import ListenError, TlsError
from sightd.daemon.serve.http.connection import PATIENCE, SLOWEST, connections
from sightd.daemon.serve.http.control_socket import ControlSocket
from sightd.daemon.serve.http.listener import ACCEPTED_AT_ONCE, listen
from sightd.daemon.serve.limits import ConnectionLimiter, RejectionCounter, descriptor_shortage
from sightd.engines.log_throttle import LogThrottle

log = logging.getLogger(__name__)

_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
MOST_MESSAGE = 4096
"""Bytes of a message that a client may send over a WebSocket."""
_GRACE_S = 1
"""Seconds that a response in progress gets when the server stops."""


class HttpServer:
    """Serves an application of `create_app`. Call `start` and `close` on one thread. The constructor raises TlsError if
    the certificate cannot be used."""

    def __init__(
        self,
        options: Http,
        app: FastAPI,
        refused: Callable[[str], None] = lambda _reason: None,
        control: ControlSocket | None = None,
    ) -> None:
        """`refused` counts rejected or cut-off connections by reason. `control` is served too, and owned by this
        server; if `options.enabled` is false, only `control` is served."""
        self._options = options
        self._viewer_limit = app.state.viewer_limit
        self._control = control
        self._sockets: list[socket.socket] = []
        self._limiter = ConnectionLimiter(options.max_connections, options.max_connections_per_address)
        self._rejections = RejectionCounter("HTTP", _rejection_reasons(options), refused)
        self._port = options.port
        self._certificate = None if options.tls is None or not options.enabled else _Certificate(options.tls)
        self._progress_at = time.monotonic()
        self._accept_errors = LogThrottle()
        config = uvicorn.Config(
            app,
            http=connections(self._rejections.add),
            ws=partial(_websocket, self._rejections.add),  # type: ignore[arg-type]  # uvicorn only calls it
            ws_max_size=MOST_MESSAGE,
            ws_per_message_deflate=False,
            loop="asyncio",
            backlog=ACCEPTED_AT_ONCE,
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=bool(options.proxies),
            forwarded_allow_ips=options.proxies,
            timeout_graceful_shutdown=_GRACE_S,
            timeout_notify=1,
            callback_notify=self._turned,
            ssl_context_factory=None if self._certificate is None else self._certificate.context_for,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="http-server", daemon=True)

    def start(self) -> None:
        """Starts listening and serving. Raises ListenError if the address cannot be bound."""
        options = self._options
        if self._control is not None:
            self._sockets.append(self._control)
        if options.enabled:
            try:
                self._sockets.append(listen(options.host, options.port, self._limiter, self._rejections.add))
            except OSError as error:
                reason = error.strerror or str(error)
                raise ListenError("HTTP", "http", options.host, options.port, reason) from error
            self._port = self._sockets[-1].getsockname()[1]
        self._progress_at = time.monotonic()
        self._thread.start()
        if options.enabled:
            log.info("HTTP is listening on %s:%s", options.host, self._port)
        if self._control is not None:
            log.info("the control socket is %s", self._control.path)

    @property
    def progress_at(self) -> float:
        """Monotonic time of the event loop's last iteration; there is one every second."""
        return self._progress_at

    @property
    def port(self) -> int:
        """The TCP port in use; the actual one if 0 was requested."""
        return self._port

    def renewal(self) -> Callable[[], None] | None:
        """Reads the certificate and its key again. Returns a function that uses them for new connections; None if they
        have not changed, or without TLS. Raises TlsError if they cannot be used. Any thread."""
        return None if self._certificate is None else self._certificate.renewal()

    def close(self, deadline: float = 2.0) -> None:
        """Disconnects the viewers, stops and joins the thread within `deadline` seconds. Idempotent."""
        if self._thread.ident is not None:
            self._viewer_limit.close()
            self._server.should_exit = True
            self._thread.join(deadline)
            if self._thread.is_alive():
                log.error("the web server did not stop within %g s", deadline)
        for one in self._sockets:
            one.close()
        self._sockets.clear()

    async def _turned(self) -> None:
        self._progress_at = time.monotonic()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._loop_failed)
        loop.create_server = partial(_create_server, loop.create_server)  # type: ignore[method-assign]
        await self._server.serve(sockets=self._sockets)

    def _loop_failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Throttles accept errors: without descriptors asyncio logs one for each possible pending connection, every
        second. Clients that want to connect wait."""
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in _OUT_OF_RESOURCES:
            loop.default_exception_handler(context)
        elif self._accept_errors.add():
            log.error("HTTP cannot accept a connection: %s; %s", error.strerror, descriptor_shortage() or "retrying")


def _websocket(refused: Callable[[str, str], None], **options: Any) -> asyncio.Protocol:
    """Returns the protocol of a connection that becomes a WebSocket. Most daemons never have one: it is imported for
    the first."""
    from sightd.daemon.serve.http.websocket import WebSocketConnection

    return WebSocketConnection(refused, **options)


async def _create_server(
    create: Callable[..., Any], protocol: Any, *, sock: socket.socket, ssl: Any, backlog: int
) -> Any:
    """Matches uvicorn's call. Uses no TLS on a Unix socket; otherwise limits the TLS handshake, for which asyncio would
    wait a minute."""
    if ssl is None or sock.family == socket.AF_UNIX:
        return await create(protocol, sock=sock, backlog=backlog)
    return await create(protocol, sock=sock, backlog=backlog, ssl=ssl, ssl_handshake_timeout=PATIENCE)


class _Certificate:
    """The TLS context of each new connection: the first one hands the handshake over to the newest, because changing
    the certificate of a context in use is not thread-safe. TLS 1.2 or newer, as in Python's defaults."""

    def __init__(self, tls: Tls) -> None:
        """Raises TlsError."""
        self._tls = tls
        self._context, self._digest = _read(tls)

    def context_for(self, _config: uvicorn.Config, _default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        """Returns the context to serve with; a factory for uvicorn."""
        served = self._context

        def hand_over(connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
            connection.context = self._context

        served.sni_callback = hand_over  # also called if the client sends no name
        return served

    def renewal(self) -> Callable[[], None] | None:
        """See `HttpServer.renewal`."""
        context, digest = _read(self._tls)

        def renew() -> None:
            self._context, self._digest = context, digest

        return None if digest == self._digest else renew


def _read(tls: Tls) -> tuple[ssl.SSLContext, bytes]:
    """Returns a context with the certificate and key, and a digest of their files. Raises TlsError."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        digest = hashlib.sha256(tls.certificate.read_bytes() + tls.key.read_bytes()).digest()
        context.load_cert_chain(tls.certificate, tls.key)
    except (OSError, ssl.SSLError) as error:
        raise TlsError(
            f"http.tls: {tls.certificate} with key {tls.key} cannot be used: {error.strerror or error}. "
            "Both must be PEM files that this process can read, and the key must belong to the "
            "certificate."
        ) from error
    return context, digest


def _rejection_reasons(options: Http) -> dict[str, str]:
    return {
        "total": f"limit of {options.max_connections} reached (http.max_connections)",
        "address": f"limit of {options.max_connections_per_address} from one address reached "
        "(http.max_connections_per_address)",
        "slow": f"its request did not arrive within {PATIENCE:g} s, or arrived more slowly than {SLOWEST} bytes/s",
        "flood": "it sent more WebSocket frames than a reader needs",
        "invalid": "it did not send HTTP",
    }
