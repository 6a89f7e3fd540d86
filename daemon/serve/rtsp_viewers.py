"""Tracks RTSP connections: which camera each plays, and cutting off those that hang or misbehave."""

from __future__ import annotations

import logging
import math
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from sightd.daemon.config.model import Rtsp
from sightd.daemon.serve.connection_limiter import ConnectionLimiter
from sightd.daemon.serve.rejection_counter import RejectionCounter
from sightd.daemon.serve.rtsp_connection_policy import SESSIONS, TO_AGREE, TO_PLAY, ConnectionPolicy
from sightd.daemon.serve.rtsp_stream import RtspStream
from sightd.daemon.serve.tcp import cut_off_when_stalled, hang_up, received_bytes

log = logging.getLogger(__name__)

_SHORTEST_SESSION = 10
"""Seconds. Players send keep-alives at about half the session timeout, and RTCP reports every 5 s."""

_OK, _SESSION_NOT_FOUND = 200, 454
_IN_A_SESSION = ("setup", "play", "pause", "teardown", "get-parameter", "set-parameter")

_MOST_UNREAD = 16 * 1024
"""Receive buffer in bytes: GStreamer reads byte by byte, at 1.6 µs each, even from connections that were cut off."""


class _Tls:
    """TLS state of a new connection, read at once: later GStreamer may have none, and aborts if asked for it.

    Drops its copy of the CA certificates, 4 MB: viewers send no certificate to verify.
    """

    def __init__(self, client: Any) -> None:
        self._tls = client.get_connection().get_tls()
        self._tls.set_database(None)

    @property
    def agreed(self) -> bool:
        """Whether the handshake is complete."""
        return bool(self._tls.get_protocol_version())  # 0 until then


@dataclass(slots=True, eq=False)
class _Connection:
    """`tcp` is our own duplicate descriptor, since GStreamer may close its own at any moment; None if the connection
    broke at once. `told`: the cut-off has been counted and logged."""

    address: str
    tcp: socket.socket | None
    policy: ConnectionPolicy
    tls: _Tls | None
    plays: RtspStream | None = None
    told: bool = False
    sessions: set[str] = field(default_factory=set)


class RtspViewers:
    """Tracks every connection and reports to the streams who plays.

    A TCP viewer that accepts no byte for `stall_timeout` seconds is cut off by the kernel (TCP_USER_TIMEOUT), a UDP
    viewer by its session, which expires if neither requests nor RTCP reports arrive. Without this a stopped player
    would count as a viewer forever, and its camera would be encoded for it.

    A connection that exceeds a limit or breaks the `ConnectionPolicy` is cut off by shutting down its socket under
    GStreamer, which then closes it on its own thread: closing it through GStreamer from outside is unsafe while it is
    in use. The methods run on GStreamer's threads.
    """

    def __init__(
        self, options: Rtsp, stream_of: Callable[[str], RtspStream | None], refused: Callable[[str], None]
    ) -> None:
        self._stall_timeout = options.stall_timeout
        self._tls = options.tls is not None
        self._stream_of = stream_of
        self._limiter = ConnectionLimiter(options.max_connections, options.max_connections_per_address)
        self._rejections = RejectionCounter("RTSP", _told(options), refused)
        self._lock = threading.Lock()
        self._connections: dict[Any, _Connection] = {}

    def connected(self, _server: Any, client: Any) -> None:
        """Handles a new connection: admits it or cuts it off, sets its limits and tracks it until it closes."""
        address, tcp = client.get_connection().get_ip(), self._limited(client)
        tls = _Tls(client) if self._tls else None  # refused ones too: 4 MB each until GStreamer frees them
        if full := self._limiter.enter(address):
            self._rejections.add(full, address)
            if tcp is not None:
                hang_up(tcp)
                tcp.close()
            return
        with self._lock:
            self._connections[client] = _Connection(address, tcp, ConnectionPolicy(time.monotonic()), tls)
        client.set_property("post-session-timeout", 0)
        client.connect("new-session", self._session)
        for method in _IN_A_SESSION:
            client.connect(f"pre-{method}-request", self._in_own_session)
        client.connect("play-request", self._plays_now)
        client.connect("pause-request", self._pauses)
        client.connect("teardown-request", self._tears_down)
        client.connect("closed", self._gone)

    def look_after(self) -> None:
        """Cuts off connections that break the policy. Call every second."""
        with self._lock:
            clients = list(self._connections)
        for client in clients:
            self._judge(client)

    @property
    def count(self) -> int:
        """Number of open connections."""
        return len(self._connections)

    def of(self, stream: RtspStream) -> list[Any]:
        """The connections that play this stream."""
        with self._lock:
            return [client for client, one in self._connections.items() if one.plays is stream]

    def _limited(self, client: Any) -> socket.socket | None:
        try:
            tcp = socket.socket(fileno=socket.dup(client.get_connection().get_write_socket().get_fd()))
        except OSError as error:
            log.debug("a viewer left before limits were set: %s", error)
            return None
        try:
            cut_off_when_stalled(tcp, self._stall_timeout)
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _MOST_UNREAD)
        except OSError as error:  # the connection broke at once; "closed" follows
            log.debug("a viewer left while limits were set: %s", error)
        return tcp

    def _judge(self, client: Any) -> None:
        with self._lock:
            one = self._connections.get(client)
            fault = self._fault(client, one) if one is not None else None
            if one is None or fault is None:
                return
            if one.tcp is not None:
                hang_up(one.tcp)
            told, one.told = one.told, True
        if not told:
            self._rejections.add(fault, one.address)

    def _fault(self, client: Any, one: _Connection) -> Literal["slow", "flood"] | None:
        if client.get_connection().is_tunneled():  # it reads from a connection that is not tracked
            return "flood"
        try:
            received = received_bytes(one.tcp) if one.tcp is not None else 0
        except OSError:
            return None  # it is gone; "closed" follows
        return one.policy.fault(time.monotonic(), received, agreed=one.tls is None or one.tls.agreed)

    def _session(self, client: Any, session: Any) -> None:
        session.set_timeout(max(_SHORTEST_SESSION, math.ceil(self._stall_timeout)))
        with self._lock:
            if client in self._connections:
                self._connections[client].policy.opens_session()
                self._connections[client].sessions.add(session.get_sessionid())
        self._judge(client)

    def _in_own_session(self, client: Any, context: Any) -> int:
        """Rejects sessions of other connections: GStreamer asks for no password within a session."""
        if context.session is None:
            return _OK
        with self._lock:
            one = self._connections.get(client)
            own = one is not None and context.session.get_sessionid() in one.sessions
        return _OK if own else _SESSION_NOT_FOUND

    def _plays_now(self, client: Any, context: Any) -> None:
        stream = self._stream_of(context.uri.abspath)
        with self._lock:
            if (one := self._connections.get(client)) is None:
                return
            one.policy.plays()
            before, one.plays = one.plays, stream
        if before is not None and before is not stream:
            before.viewer_left(id(client))
        if stream is not None:
            stream.viewer_plays(id(client))

    def _pauses(self, client: Any, _context: Any) -> None:
        self._leaves(client)

    def _tears_down(self, client: Any, _context: Any) -> None:
        self._leaves(client)
        with self._lock:
            if client in self._connections:
                self._connections[client].policy.stops(time.monotonic())

    def _gone(self, client: Any) -> None:
        self._leaves(client)
        with self._lock:
            one = self._connections.pop(client, None)
            if one is not None and one.tcp is not None:
                one.tcp.close()  # under the lock: another thread may be using it
        if one is not None:
            self._limiter.leave(one.address)

    def _leaves(self, client: Any) -> None:
        with self._lock:
            one = self._connections.get(client)
            stream = None
            if one is not None:
                stream, one.plays = one.plays, None
        if stream is not None:
            stream.viewer_left(id(client))


def _told(options: Rtsp) -> dict[str, str]:
    return {
        "total": f"limit of {options.max_connections} reached (rtsp.max_connections)",
        "address": f"limit of {options.max_connections_per_address} from one address reached "
        "(rtsp.max_connections_per_address)",
        "slow": f"no TLS handshake within {TO_AGREE:g} s, or no PLAY within {TO_PLAY:g} s",
        "flood": (
            f"it sent more data than a viewer should, opened more than {SESSIONS} sessions, or requested a tunnel"
        ),
    }
