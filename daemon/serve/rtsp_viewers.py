"""The RTSP connections of the moment: who plays which camera, and how one that hangs is got rid of."""

from __future__ import annotations

import logging
import math
import socket
import threading
from collections.abc import Callable
from typing import Any

from daemon.serve.rtsp_stream import RtspStream

log = logging.getLogger(__name__)

_SHORTEST_SESSION = 10
"""Seconds. Players send sign of life at half the session's time or so, and their RTCP reports every 5 s."""


class RtspViewers:
    """Follows every connection and tells the streams who plays.

    A viewer over TCP that takes no byte for `stall_timeout` seconds is cut off by the kernel (TCP_USER_TIMEOUT), one
    over UDP by its session, which expires when neither requests nor RTCP reports come. Without this a stopped player
    would count as a viewer, and its camera would be encoded, for ever. The methods are called on GStreamer's threads.
    """

    def __init__(self, stall_timeout: float, stream_of: Callable[[str], RtspStream | None]) -> None:
        self._stall_timeout = stall_timeout
        self._stream_of = stream_of
        self._lock = threading.Lock()
        self._plays: dict[Any, RtspStream | None] = {}

    def connected(self, _server: Any, client: Any) -> None:
        """A new connection: limits are set and its life is followed."""
        with self._lock:
            self._plays[client] = None
        client.set_property("post-session-timeout", 0)
        client.connect("new-session", self._session)
        client.connect("play-request", self._plays_now)
        client.connect("pause-request", self._pauses)
        client.connect("teardown-request", self._pauses)
        client.connect("closed", self._gone)
        try:
            self._limit(client)
        except OSError as error:  # the connection broke at once; "closed" follows
            log.debug("a viewer left before limits were set: %s", error)

    @property
    def count(self) -> int:
        """How many connections there are."""
        return len(self._plays)

    def of(self, stream: RtspStream) -> list[Any]:
        """The connections that play this stream."""
        with self._lock:
            return [client for client, playing in self._plays.items() if playing is stream]

    def _limit(self, client: Any) -> None:
        connection = client.get_connection().get_write_socket()
        with socket.socket(fileno=socket.dup(connection.get_fd())) as tcp:
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(1, int(self._stall_timeout)))
            tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, int(self._stall_timeout / 3)))
            tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, int(self._stall_timeout * 1000)))

    def _session(self, _client: Any, session: Any) -> None:
        session.set_timeout(max(_SHORTEST_SESSION, math.ceil(self._stall_timeout)))

    def _plays_now(self, client: Any, context: Any) -> None:
        stream = self._stream_of(context.uri.abspath)
        with self._lock:
            before = self._plays.get(client)
            self._plays[client] = stream
        if before is not None and before is not stream:
            before.viewer_left(id(client))
        if stream is not None:
            stream.viewer_plays(id(client))

    def _pauses(self, client: Any, _context: Any) -> None:
        self._leaves(client)

    def _gone(self, client: Any) -> None:
        self._leaves(client)
        with self._lock:
            self._plays.pop(client, None)

    def _leaves(self, client: Any) -> None:
        with self._lock:
            stream = self._plays.get(client)
            if client in self._plays:
                self._plays[client] = None
        if stream is not None:
            stream.viewer_left(id(client))
