"""The web server's thread: uvicorn on a socket of our own, and a stop that no viewer can delay."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import threading
import time
from typing import Any

import uvicorn
from fastapi import FastAPI

from daemon.config.model import Http
from daemon.serve.descriptors import fault
from daemon.serve.errors import ListenError

log = logging.getLogger(__name__)

_STALL_MS = 10_000
"""A connection that takes no byte for so long is cut off by the kernel; a stopped browser would hold its seat."""
_BACKLOG = 128
"""Connections that may wait to be taken."""
_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_TELL_EVERY = 10.0
"""Seconds between two log records of connections that could not be taken."""
_GRACE_S = 1
"""What an answer under way gets when the server stops."""


class HttpServer:
    """Serves an application of `create_app`. `start` and `close` belong to one thread."""

    def __init__(self, options: Http, app: FastAPI) -> None:
        self._options = options
        self._audience = app.state.audience
        self._socket: socket.socket | None = None
        self._port = options.port
        self._progress_at = time.monotonic()
        self._told_at = float("-inf")
        config = uvicorn.Config(
            app,
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=_GRACE_S,
            backlog=_BACKLOG,
            timeout_notify=1,
            callback_notify=self._turned,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="http-server", daemon=True)

    def start(self) -> None:
        """Listens and serves from now on. ListenError if the address cannot be had."""
        options = self._options
        try:
            self._socket = _listen(options.host, options.port)
        except OSError as error:
            reason = error.strerror or str(error)
            raise ListenError("HTTP", "http", options.host, options.port, reason) from error
        self._port = self._socket.getsockname()[1]
        self._progress_at = time.monotonic()
        self._thread.start()
        log.info("HTTP listens on %s:%s", options.host, self._port)

    @property
    def progress_at(self) -> float:
        """Monotonic time at which its loop last turned: it does every second."""
        return self._progress_at

    @property
    def port(self) -> int:
        """The TCP port in use; the real one where 0 was asked for."""
        return self._port

    def close(self, deadline: float = 2.0) -> None:
        """Sends the viewers home, stops and joins within `deadline` seconds. Twice is safe."""
        if self._socket is None:
            return
        self._audience.close()
        self._server.should_exit = True
        self._thread.join(deadline)
        if self._thread.is_alive():
            log.error("the web server did not stop within %g s", deadline)
        self._socket.close()
        self._socket = None

    async def _turned(self) -> None:
        self._progress_at = time.monotonic()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        asyncio.get_running_loop().set_exception_handler(self._loop_failed)
        await self._server.serve(sockets=[self._socket] if self._socket is not None else None)

    def _loop_failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Without descriptors asyncio fails to accept as often as there may be connections waiting, each second: that
        is told once in a while, and who wants to connect waits."""
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in _OUT_OF_RESOURCES:
            loop.default_exception_handler(context)
        elif time.monotonic() - self._told_at >= _TELL_EVERY:
            self._told_at = time.monotonic()
            log.error("HTTP cannot take a connection: %s; %s", error.strerror, fault() or "it is tried again")


def _listen(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STALL_MS)  # inherited by connections
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening
